"""The page's section on number formats: the verdict comes first."""

import pytest

pytest.importorskip("scipy")

from tasks import format_report, report
from tasks.evaluation import Loss
from tests.tasks.made_results import CLOSE, SOME, result

WORSE = Loss(-0.002, -0.003, -0.001, 0.9, 0.99)
WAYS = tuple(format_report.WAYS)[1:]


def test_section(tmp_path):
    results = [
        result("one", WAYS, **{"ONNX Runtime int8": SOME}),
        result("lee", WAYS, "correlation", **{"int8": CLOSE, "ONNX Runtime int8": WORSE}),
    ]
    report.keep(tmp_path / format_report.FILE, "a", results)
    lines = format_report.section(tmp_path).splitlines()
    assert (
        "Of 2 metrics: bfloat16 on none (none), float16 on none (none), int8 on none (1), "
        "ONNX Runtime int8 on 2 (2)."
    ) in lines[0]
    assert lines[2].startswith("Measured ")
    head = "| task | model, head | n | exact | bfloat16 | float16 | int8 | ONNX Runtime int8 |"
    assert head in lines
    assert any("| 90.00% | +0.00 [+0.00, +0.00] |" in line for line in lines)
    assert any(line.startswith("**int8** loses at most 0.1 points") for line in lines)
