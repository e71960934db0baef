"""Tables of results fit the terminal, and nothing in them is cut off."""

from types import SimpleNamespace

import pytest

from quake_tvm.bench.show import tables

CONTENDERS = "quake4", "exact", "TVM default", "FastMath", "FastMath scheduled", "ONNX Runtime"


def result(name: str) -> SimpleNamespace:
    rows = [
        SimpleNamespace(
            contender=contender,
            ratio=SimpleNamespace(median=1.25),
            seconds=SimpleNamespace(low=0.0111e-3, median=0.0123e-3, high=0.0135e-3),
            difference=1.5e-7,
            lowered=(3, 3),
        )
        for contender in CONTENDERS
    ]
    case = SimpleNamespace(name=name, shape="1x16, 1x16", tiny=False, elements=None)
    return SimpleNamespace(case=case, rows=rows, skipped={})


@pytest.mark.parametrize("width", [80, 160])
def test_they_fit(width):
    shown = tables([result("paraphrase-MiniLM-L3-v2.onnx")], width)
    lines = shown[: shown.index("exact      this")].splitlines()
    assert max(map(len, lines)) <= width
    assert shown.count("0.0123") == shown.count("±10%") == len(CONTENDERS)
    assert "…" not in shown
    assert shown.count(" scheduled ") == 4
