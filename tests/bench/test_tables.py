"""The program that measures tables. No time is asserted."""

import numpy as np
import onnx
import onnxruntime
import pytest

import quake_tvm
from quake_tvm.bench import tables


@pytest.mark.parametrize("operator", tables.SHAPES)
def test_models_run_in_both(operator: str) -> None:
    shape = (3, 64)
    model = tables.model(operator, shape)
    x = np.arange(192).astype(np.uint8).reshape(shape)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (wanted,), (found,) = session.run(None, {"x": x}), quake_tvm.compile(model).run(x)
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert isinstance(model, onnx.ModelProto)


def test_the_kernel_is_one_table() -> None:
    function = tables.table(tables.SMALL, quake_tvm.target())
    assert function.attrs["quake.rule"] == "elementwise"
