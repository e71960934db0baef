"""The results that are stored, and the text about them."""

import pytest

pytest.importorskip("scipy")

from quake_tvm.numerics.ladder import METHODS as RUNGS
from tasks import report
from tasks.evaluation import Loss, Result

NONE = Loss(0.0, 0.0, 0.0, 1.0, 1.0, 0, 0, 1.0, 0.003)
SOME = Loss(-0.004, -0.006, -0.002, 0.9, 0.99, 9, 5, 0.42, 0.01)
CLOSE = Loss(-0.0002, -0.0015, 0.0003, 0.999, 0.9999)


def result(task, metric="accuracy", **losses):
    rungs = {rung: losses.get(rung, NONE) for rung in RUNGS}
    return Result(task, "model", "head", metric, 1000, 2, 0.9, rungs)


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


def test_section(tmp_path):
    path = tmp_path / report.TASKS
    results = [result("one", quake1=SOME), result("lee", "correlation", quake1=CLOSE)]
    report.keep(path, "a", results)
    lines = report.section(tmp_path).splitlines()
    assert lines[0].startswith("Measured ")
    assert lines[0].endswith(": a.")
    (line,) = [line for line in lines if "-0.40 [-0.60, -0.20]" in line]
    assert line.startswith("| one | model, head | 1,000 | 90.00% | -0.40")
    assert any("| 0.9000 | -0.200 [-1.500, +0.300] |" in line for line in lines)
    assert any("| 2,000 | 9 / 5 (0.42), 1.00 | 0 / 0 (1), 0.30 |" in line for line in lines)
    assert any("| 1e-01 / 1e-02 | 0e+00 / 0e+00 |" in line for line in lines)
    assert not any(report.PICTURE in line for line in lines)
    facts = {"target": "t", "threads": 1, "date": "d"}
    taken = {"model": dict.fromkeys(("exact", *RUNGS), 1.5)}
    report.store(tmp_path / report.LATENCY, {"facts": facts, "milliseconds": taken})
    assert f"({report.PICTURE})" in report.section(tmp_path)
    assert "| model | 1.50 |" in report.section(tmp_path)
