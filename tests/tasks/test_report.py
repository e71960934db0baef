"""The results that are stored, and the text about them."""

import pytest

pytest.importorskip("scipy")

from tasks import report
from tests.tasks.made_results import CLOSE, SOME
from tests.tasks.made_results import result as made

WAYS = ("quake1", "quake2", "quake3")


def result(task, **losses):
    return made(task, WAYS, **losses)


def test_tasks_are_kept_side_by_side(tmp_path):
    path = tmp_path / "folder" / "tasks.json"
    first, second = result("one"), result("two", quake1=SOME)
    report.keep(path, "a", [first])
    report.keep(path, "b", [result("old")])
    report.keep(path, "b", [second])
    assert report.results_of(report.read(path)) == [first, second]
    assert [p.name for p in path.parent.iterdir()] == ["tasks.json"]


def test_verdict_names_what_loses_more_than_allowed():
    results = [result("one"), result("two", quake3=SOME), result("three", quake3=CLOSE)]
    said = report.verdict(results, "quake3")
    assert "correlation on 2 of 3 metrics, on 1 with the whole interval." in said
    assert "more on 1 (two, model, head)." in said
    assert "lowest differences are -0.40 points (two, model)." in said
    assert "all below 0 on 1 (two, model, head)." in said
    assert "on 3 of 3 metrics, on 3 with" in report.verdict(results, "quake2")
    assert "It loses more on none." in report.verdict(results, "quake2")
