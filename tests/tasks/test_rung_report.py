"""The page's section on rungs."""

import pytest

pytest.importorskip("scipy")

from quake_tvm.numerics.ladder import METHODS as RUNGS
from tasks import report, rung_report
from tests.tasks.made_results import CLOSE, SOME, result


def test_section(tmp_path):
    path = tmp_path / rung_report.FILE
    results = [
        result("one", RUNGS, quake1=SOME),
        result("lee", RUNGS, "correlation", quake1=CLOSE),
    ]
    report.keep(path, "a", results)
    lines = rung_report.section(tmp_path).splitlines()
    assert lines[0].startswith("Measured ")
    assert lines[0].endswith(": a.")
    (line,) = [line for line in lines if "-0.40 [-0.60, -0.20]" in line]
    assert line.startswith("| one | model, head | 1,000 | 90.00% | -0.40")
    assert any("| 0.9000 | -0.200 [-1.500, +0.300] |" in line for line in lines)
    assert any("| 2,000 | 9 / 5 (0.42), 1.00 | 0 / 0 (1), 0.30 |" in line for line in lines)
    assert any("| 1e-01 / 1e-02 | 0e+00 / 0e+00 |" in line for line in lines)
    assert not any(rung_report.PICTURE in line for line in lines)
    facts = {"target": "t", "threads": 1, "date": "d"}
    taken = {"model": dict.fromkeys(("exact", *RUNGS), 1.5)}
    report.store(tmp_path / rung_report.LATENCY, {"facts": facts, "milliseconds": taken})
    assert f"({rung_report.PICTURE})" in rung_report.section(tmp_path)
    assert "| model | 1.50 |" in rung_report.section(tmp_path)
