"""Parameters as they appear in the kernel's code."""

import pytest
from tvm import te

from quake_tvm import QuakeError
from quake_tvm.schedules import RULE
from quake_tvm.tuning.signature import Signature, signature
from quake_tvm.tvm_version import tir
from tests.tuning.kernels import growing, plain, product


@pytest.mark.parametrize(("make", "cold"), [(plain, False), (product, True)])
def test_the_result_comes_last(make, cold):
    matrix = (64, 64), "float32"
    assert signature(make(64)) == Signature([matrix, matrix], [matrix], cold)


def test_several_results():
    x = te.placeholder((4, 8), "int32", name="x")
    half = te.compute((4, 4), lambda i, k: x[i, 2 * k], name="half")
    double = te.compute((4, 8), lambda i, k: x[i, k].astype("float16") * 2, name="double")
    found = signature(te.create_prim_func([x, half, double]))
    assert found.inputs == [((4, 8), "int32")]
    assert found.outputs == [((4, 4), "int32"), ((4, 8), "float16")]


def test_what_has_none():
    with pytest.raises(QuakeError, match="the shape of x is known only when it runs"):
        signature(growing())
    x = te.placeholder((4,), name="x")
    y = te.placeholder((4,), name="y")
    idle = te.create_prim_func([x, y]).with_body(tir.Evaluate(0))
    with pytest.raises(QuakeError, match="does not write to its last parameter"):
        signature(idle)


@pytest.mark.parametrize(("rule", "cold"), [("matmul", True), ("depthwise", True), ("rows", False)])
def test_kernels_with_weights_are_timed_cold(rule, cold):
    assert signature(plain(64).with_attr(RULE, rule)).cold == cold
