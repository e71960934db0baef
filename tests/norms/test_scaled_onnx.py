"""A model with scales is right where float16 sums overflowed, and right as before elsewhere."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.norms.scaled_onnx import scaled
from tests.norms.models import ROWS, decomposed, exact

IDS = {"ids": np.arange(ROWS)}


def error(model, constants, centered):
    """The largest, where each step is rounded to the model's format."""
    with np.errstate(over="ignore", invalid="ignore"):
        y = ReferenceEvaluator(model).run(None, IDS)[0].astype(np.float64)
    return np.abs(y - exact(constants, centered)).max()


@pytest.mark.parametrize("reciprocal", [False, True], ids=["quotient", "reciprocal"])
@pytest.mark.parametrize("centered", [False, True], ids=["rms", "layer"])
def test_overflow_is_gone(centered, reciprocal):
    model, constants = decomposed(centered, reciprocal=reciprocal)
    found = quake_tvm.norm_scales(model)
    assert [norm.claim for norm in found.norms] == ["proven"]
    assert found.survives == "with these scales"
    before = model.SerializeToString()
    result, changed = scaled(model, found.norms)
    assert changed == 1
    assert model.SerializeToString() == before
    onnx.checker.check_model(result, full_check=True)
    assert error(model, constants, centered) > 1
    assert error(result, constants, centered) < 0.03


def test_float32_stays_as_exact():
    model, constants = decomposed(True, np.float32)
    result, changed = scaled(model, quake_tvm.norm_scales(model).norms)
    assert changed == 1
    assert error(result, constants, True) == pytest.approx(error(model, constants, True), rel=0.5)


def test_what_needs_no_scale_stays():
    model, _ = decomposed(False, size=1.0)
    found = quake_tvm.norm_scales(model)
    assert found.survives == "yes"
    result, changed = scaled(model, found.norms)
    assert changed == 0
    assert result.SerializeToString() == model.SerializeToString()


def test_a_step_that_others_read_is_not_scaled():
    model, _ = decomposed(True, watched=True)
    found = quake_tvm.norm_scales(model)
    with pytest.raises(QuakeError, match="show 0 norms, and the model has 1"):
        scaled(model, found.norms)


def test_an_operand_that_others_read_is():
    model, constants = decomposed(False, watched=True)
    result, changed = scaled(model, quake_tvm.norm_scales(model).norms)
    assert changed == 1
    assert error(result, constants, False) < 0.03
    (_, x) = ReferenceEvaluator(result).run(None, IDS)
    np.testing.assert_array_equal(x, constants["table"])
