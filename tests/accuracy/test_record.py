"""Recorded errors are true at their witnesses, agree with the bounds, and are written whole."""

import json
import shutil

import numpy as np
import pytest

from quake_tvm import QuakeError
from quake_tvm.accuracy import kernel, record
from quake_tvm.accuracy.findings import absolute_term, round_up
from quake_tvm.accuracy.float32_inputs import BLOCK, EVERY, every_magnitude
from quake_tvm.accuracy.page import section
from quake_tvm.accuracy.statistics import Limits, statistics
from quake_tvm.accuracy.sweeps import Sweep
from quake_tvm.accuracy.truth import precise
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound
from tests.numerics.test_bits import ELEMENTWISE


@pytest.mark.parametrize("operator", ELEMENTWISE)
@pytest.mark.parametrize("method", METHODS)
def test_bounds_are_what_was_found(operator, method):
    found, proven = record.rungs(operator)[method], bound(operator, method)
    assert proven.relative == round_up(found["relative"]["max"])
    assert proven.witness == found["relative"]["at"]
    assert proven.absolute == found["absolute_term"] == absolute_term(operator, method)
    falls = found["counts"]["falls"] == 0
    assert proven.monotone == (falls if OPERATORS[operator].rising else None)


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_witnesses_show_the_errors_against_mpmath(operator):
    measure = statistics(target()).measure
    for method, found in record.rungs(operator).items():
        names = [name for name in ("relative", "absolute", "ulp") if found[name]["max"]]
        x = np.float32([found[name]["at"] for name in names])
        y = np.array([precise(operator, each) for each in x])
        q = kernel(operator, method, target())(x)
        for n, name in enumerate(names):
            before = np.concatenate([q[:1], q])
            shown = measure(name, y, before, Limits(found["absolute_term"]))[n]
            assert shown == pytest.approx(found[name]["max"], rel=1e-6), (method, name)


def test_every_input_was_seen():
    for operator in ELEMENTWISE:
        for found in record.rungs(operator).values():
            counted = found["counts"]["finite"]
            assert sum(found["ulps"]) == counted
            assert EVERY // 2 < counted < EVERY


def test_the_page_has_the_record():
    assert section(record.read()) in record.PAGE.read_text()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A temporary page and record, and the list of bounds that are written."""
    page = tmp_path / record.PAGE.name
    shutil.copy(record.PAGE, page)
    monkeypatch.setattr(record, "PAGE", page)
    monkeypatch.setattr(record, "RECORD", tmp_path / "docs" / "accuracy" / "exhaustive.json")
    written = []
    monkeypatch.setattr(record, "update_bounds", written.extend)
    return written


def test_an_operator_is_kept_beside_the_others(checkout):
    facts = {"cpu": "a cpu", "target": "a target", "versions": {"a package": "1.2"}}
    for operator in ("tanh", "exp", "tanh"):
        found = Sweep(operator, ["quake1"], target()).run(every_magnitude(0, BLOCK))
        whole = {"quake1": (found["quake1"][0], f"hash of {operator}")}
        record.keep(operator, facts, whole, {"quake1": "stratum"})
    assert list(json.loads(record.RECORD.read_text())) == ["exp", "tanh"]
    assert record.rungs("tanh")["quake1"]["stratum"] == "stratum"
    assert [row.operator for row in checkout] == ["tanh", "exp", "tanh"]
    page = record.PAGE.read_text()
    assert page.count("| hash of tanh |") == 1
    assert "a target; a package 1.2." in page
    assert [path.name for path in record.RECORD.parent.iterdir()] == [record.RECORD.name]


def test_without_a_repository(checkout):
    record.PAGE.unlink()
    with pytest.raises(QuakeError, match="checkout"):
        record.require()
    assert record.rungs("exp") == {}


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({}, "No result has the wrong sign"),
        ({"sign": 3}, "Results of the wrong sign: tanh on quake2 (3)."),
        ({"odd": 1, "nan": 2}, "Results NaN for a number or a number for NaN: tanh on quake2 (2)."),
    ],
)
def test_violations_are_told(counts, told):
    found, _ = Sweep("tanh", ["quake2"], target()).run(every_magnitude(0, BLOCK))["quake2"]
    for name, number in counts.items():
        found = found.count(name, number)
    rungs = {"quake2": found.to_dict() | {"hash": "0"}}
    entry = {"date": "today", "cpu": "", "target": "", "versions": {}, "rungs": rungs}
    assert told in section({"tanh": entry})
    assert "Monotone over all float32: tanh on quake2." in section({"tanh": entry})
