"""A generated kernel stores its name and options, and can be generated again."""

import numpy as np
import pytest
from tvm import relax, te
from tvm_ffi import structural_equal

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.tvm_version import tir
from tests.helpers import module, once
from tests.schedules.kernels import placeholder
from tests.schedules.tunable import WRITTEN_OUT, unscheduled

nn = relax.op.nn
WEIGHTS = [relax.const(np.ones(40, "float32")) for _ in range(2)]


def lowered(formula, *shapes):
    """The generated kernel of a module after the pipeline."""
    with target():
        mod = Pipeline(target(), Options.parse("quake2")).upto("fuse")(module(formula, *shapes))
    found = [f for _, f in mod.functions_items() if isinstance(f, tir.PrimFunc)]
    (function,) = [f for f in found if KernelSpec.of(f)]
    return function


def attended(q, k, v):
    scores = relax.op.matmul(q, relax.op.permute_dims(k, [0, 1, 3, 2]))
    return relax.op.matmul(once(nn.softmax(once(scores))), v)


FORMULAS = {
    "softmax": (nn.softmax, [(9, 40)]),
    "log_softmax": (nn.log_softmax, [(9, 40)]),
    "layer_norm": (lambda x: nn.layer_norm(x, *WEIGHTS, axes=[-1]), [(9, 40)]),
    "rms_norm": (lambda x: nn.rms_norm(x, WEIGHTS[0], axes=[-1]), [(9, 40)]),
    "attention": (attended, [(1, 2, 64, 64)] * 3),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_pipelines_kernels_say_what_they_are(name):
    formula, shapes = FORMULAS[name]
    function = lowered(formula, *shapes)
    kernel = KernelSpec.of(function)
    assert kernel.name == name
    assert structural_equal(kernel.rebuild(function), function)


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_written_again_it_is_the_same(name):
    _, function, *_ = unscheduled(name, "native")
    assert structural_equal(KernelSpec.of(function).rebuild(function), function)


def test_written_with_other_options_it_keeps_the_rest():
    _, function, *_ = unscheduled("softmax_of_short_rows", "native")
    function = function.with_attr("quake.sites", "[]")
    other = KernelSpec.of(function).rebuild(function, rows_at_once=1)
    assert not structural_equal(other.body, function.body)
    assert other.attrs["quake.sites"] == "[]"
    assert KernelSpec.of(other).options == {"method": "quake2", "rows_at_once": 1}


def test_what_is_not_written_out():
    x = placeholder(3, 40)
    assert KernelSpec.of(te.create_prim_func([x, te.compute(x.shape, lambda *i: x(*i))])) is None
