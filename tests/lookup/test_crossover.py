"""The program that compares look-ups with layers. No time is asserted."""

import numpy as np
import onnx
import pytest

import quake_tvm
from quake_tvm.lookup import crossover
from quake_tvm.lookup.crossover import CONTENDERS, Size, chart, table
from quake_tvm.lookup.layer import STORED


def test_the_look_up_takes_the_place_of_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(crossover.TABLES, 32, 4)
    size = Size(32, 3)
    onnx.checker.check_model(size.layer(), full_check=True)
    found = size.look_ups()
    assert list(found) == list(STORED)
    for form, model in found.items():
        z = next(v for v in model.graph.initializer if v.name.endswith("projection"))
        assert list(z.dims) == [32, 4 * crossover.BITS], form
        (y,) = quake_tvm.compile(model).run(size.inputs()[0])
        assert y.shape == (3, 32)


def test_calls_take_different_rows() -> None:
    inputs = [call["x"] for call in Size(384, 1).inputs()]
    assert len(inputs) == crossover.TOGETHER
    assert len(np.unique(np.concatenate(inputs), axis=0)) == len(inputs)


def test_a_row_has_the_ratios_to_the_layer() -> None:
    seconds = dict(zip(CONTENDERS, (8e-4, 1e-3, 4e-4, 2e-4, 1e-3), strict=True))
    row = table({Size(384, 4): seconds}).splitlines()[-1]
    assert row == "| 384 | 4 | 200.00 | 250.00 | 100.00 | 2.00 | 50.00 | 4.00 | 250.00 | 0.80 |"
    del seconds["ONNX Runtime"]
    assert "| 200.00 |  | 100.00 |" in table({Size(384, 4): seconds})


def test_the_picture_has_a_line_for_each_width_and_format() -> None:
    seconds = dict.fromkeys(CONTENDERS, 1.0)
    drawn = chart({Size(w, n): seconds for w in (384, 768) for n in (1, 16)})
    assert drawn.count("<polyline") == 2 * len(STORED)
    assert "width 768, int8" in drawn
