"""Look-ups become kernels with a rung for their scores."""

import json

import numpy as np
import pytest
from tvm import relax

from quake_tvm.errors import QuakeError
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.lookup_operator import check, lookup_ffn
from quake_tvm.options import Options
from quake_tvm.passes.lower_tir import SITES
from quake_tvm.passes.relax.graph import kernel_calls
from quake_tvm.passes.relax.lower_lookup import lower

BITS, TABLES, WIDTH = 3, 5, 7


def module():
    builder = relax.BlockBuilder()
    z = relax.Var("z", relax.TensorType((2, 4, BITS * TABLES), "float32"))
    tables = relax.const(np.zeros((TABLES << BITS, WIDTH), np.float32))
    with builder.function("main", [z]):
        with builder.dataflow():
            bias = relax.const(np.zeros(WIDTH, np.float32))
            y = builder.emit_output(lookup_ffn(z, tables, bias, bits=BITS))
        builder.emit_func_output(y)
    return builder.get()


@pytest.mark.parametrize(
    ("options", "method"), [({"method": "quake3"}, "quake3"), ({"skip": ["exp"]}, None)]
)
def test_the_scores_are_a_site(options, method):
    mod = lower(module(), Options.parse(**options))
    (call,) = kernel_calls(mod["main"])
    function = mod[call.args[0]]
    assert [int(n) for n in call.ty.shape] == [2, 4, WIDTH]
    spec = KernelSpec.of(function)
    assert (spec.name, spec.options["bits"], spec.options["method"]) == ("lookup_ffn", BITS, method)
    sites = json.loads(str(function.attrs[SITES]))
    assert [site["method"] for site in sites] == ([method] if method else [])
    assert all(s["operator"] == "exp" and s["source"] == "lookup_ffn" for s in sites)


def test_a_module_without_look_ups_is_unchanged():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2,), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.op.negative(x)))
    mod = builder.get()
    assert lower(mod, Options.parse()) is mod


def ty(*shape, dtype="float32"):
    return relax.TensorType(shape, dtype)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"z": ty(2, 14)}, r"z of shape \(\.\., 3 H\)"),
        ({"z": ty(2, 15, dtype="float16")}, "are float32"),
        ({"tables": ty(41, 7)}, r"tables \(H 8, D\)"),
        ({"tables": ty(40, 7, dtype="int8")}, "scales if they are int8"),
        ({"tables": ty(40, 7, dtype="int16")}, "not int16"),
        ({"scales": ty(40)}, "scales if they are int8"),
        ({"bias": ty(6)}, r"a bias \(D,\)"),
        ({"bits": 0}, "1 to 16 bits"),
    ],
)
def test_operands_that_do_not_fit(changed, problem):
    given = {"z": ty(2, 15), "tables": ty(40, 7), "scales": None, "bias": ty(7), "bits": 3}
    check(**given)
    with pytest.raises(QuakeError, match=problem):
        check(**{**given, **changed})
