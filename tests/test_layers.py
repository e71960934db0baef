"""Folders import from lower floors only, and every folder has a floor."""

import re

from tests import layers


def test_every_folder_has_a_floor():
    rooms = {layers.room(module) for module in layers.modules()}
    assert rooms == set().union(*layers.FLOORS)
    assert sum(map(len, layers.FLOORS)) == len(rooms)


def test_the_map_for_contributors_has_these_floors():
    text = (layers.ROOT / "CONTRIBUTING.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (`[^|]*) \|", text, re.MULTILINE))
    assert len(rows) == len(layers.FLOORS)
    for number, names in enumerate(layers.FLOORS):
        assert all(name in rows[str(number)] for name in names), number


def test_nothing_is_imported_from_above():
    assert layers.upward(layers.modules()) == []


def test_imports_in_functions_count_and_those_for_types_do_not(tmp_path):
    one, other, third = (tmp_path / f"{name}.py" for name in ("one", "other", "third"))
    one.write_text("def f():\n    from ..numerics import other\n")
    other.write_text("if TYPE_CHECKING:\n    from ..support.one import f\n")
    third.write_text("from ..numerics.other import x\n")
    every = {
        "quake_tvm.support.one": one,
        "quake_tvm.numerics.other": other,
        "quake_tvm.kernels.third": third,
    }
    assert layers.upward(every) == [("quake_tvm.support.one", "quake_tvm.numerics.other")]
    assert layers.circles(every) == []
    other.write_text("from ..support.one import f\n")
    assert layers.circles(every) == [["numerics", "support"]] * 2


# Folders that a folder's docstring says it does not know, in addition to higher floors.
UNKNOWN = {
    "importers": {"passes", "schedules", "machines"},
    "runtime": {"passes", "schedules", "machines", "kernels"},
    "schedules": {"options", "report"},
    "machines": {"kernels", "site_plan"},
    "kernels": {"machines", "site_plan"},
}


def test_folders_know_no_more_than_they_say():
    every = layers.modules()
    known = [
        (module, other)
        for module in every
        for other in layers.imports(module, every)
        if layers.room(other) in UNKNOWN.get(layers.room(module), ())
    ]
    assert known == []
