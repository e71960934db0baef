"""Attention becomes its kernel, whose options say in which format the products multiply."""

import pytest

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.passes.relax.lower_attention import lower
from quake_tvm.tvm_version import tir
from tests.helpers import module
from tests.passes.relax.test_causal_masks import KV, ROWS, Q, of_constant
from tests.passes.relax.test_fuse_attention import BSHD, block, fused


def kernel_of(mod):
    """The only kernel of a module."""
    (function,) = (f for f in mod.functions.values() if isinstance(f, tir.PrimFunc))
    return KernelSpec.of(function)


@pytest.mark.parametrize(
    ("precision", "depth", "found"),
    [
        ("float32", 32, (None, None)),
        ("float16", 32, (None, None)),
        ("bfloat16", 32, ("bfloat16", None)),
        ("bfloat16", 33, (None, None)),
        ("int8", 33, (None, "uint8")),
    ],
)
def test_formats(precision, depth, found):
    shape = (*BSHD[:3], depth)
    kernel = kernel_of(lower(fused(module(block, shape, shape, shape)), precision, "uint8"))
    assert (kernel.options.get("precision"), kernel.options.get("left")) == found


def test_causal_attention_stays_float32():
    """Scales of values would depend on those that a row does not see."""
    mod = fused(module(of_constant, Q, KV, KV, (ROWS,)))
    kernel = kernel_of(lower(mod, "int8", "uint8"))
    assert kernel.options["causal"]
    assert "left" not in kernel.options
