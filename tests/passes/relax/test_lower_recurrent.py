"""Recurrent layers become kernels with packed weights and a rung for each function."""

import json

import numpy as np
import pytest
from tvm import relax, tirx
from tvm_ffi import structural_equal

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.recurrent_operator import recurrent
from quake_tvm.kernels.recurrent_tile import RecurrentTile
from quake_tvm.numerics.byte_dots import FORMATS
from quake_tvm.options import Options
from quake_tvm.passes.lower_tir import SITES
from quake_tvm.passes.relax.graph import kernel_calls
from quake_tvm.passes.relax.lower_recurrent import lower
from tests.kernels.test_recurrent import packed

STEPS, ROWS, UNITS = 4, 3, 5
LAYER = {"reverse": [False], "lengths": False, "batch_first": False}
GRU = {"kind": "gru", "functions": [["sigmoid"], ["tanh"]], **LAYER}
WEIGHTS = np.arange(3 * UNITS * UNITS, dtype=np.float32).reshape(1, 3 * UNITS, UNITS)


def module():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((STEPS, ROWS, 3 * UNITS), "float32"))
    h = relax.Var("h", relax.TensorType((1, ROWS, UNITS), "float32"))
    with builder.function("main", [x, h]):
        with builder.dataflow():
            results = builder.emit(recurrent(x, relax.const(WEIGHTS), h, **GRU))
            y = builder.emit_output(relax.TupleGetItem(results, 0))
        builder.emit_func_output(y)
    return builder.get()


def lowered(**options):
    tile = RecurrentTile(2, 4, ROWS)
    mod = lower(module(), Options.parse(**options), lambda *extents: tile, FORMATS, 4)
    (call,) = kernel_calls(mod["main"])
    return call, mod[call.args[0]]


def test_weights_are_packed_at_compile_time():
    call, _ = lowered(method="quake2")
    _, *panels, _ = call.args[1]
    for given, gates in zip(panels, [(0, 1), (2,)], strict=True):
        np.testing.assert_array_equal(given.value.numpy(), packed(WEIGHTS, gates, 4, UNITS))


def test_functions_are_sites():
    _, function = lowered(method="quake3", skip=["tanh"])
    (site,) = json.loads(str(function.attrs[SITES]))
    assert (site["operator"], site["method"], site["source"]) == ("sigmoid", "quake3", "gru")
    assert site["shape"] == f"{STEPS}x{ROWS}x{UNITS}"
    rungs = [fields[3] for fields in KernelSpec.of(function).options["functions"]]
    assert rungs == ["quake3", None]


def test_the_kernel_can_be_written_again():
    _, function = lowered(method="quake2")
    kernel = KernelSpec.of(function)
    again = kernel.rebuild(function)
    assert isinstance(again, tirx.PrimFunc)
    assert structural_equal(again, function)


@pytest.mark.parametrize("method", ["quake2", "exact"])
def test_other_modules_stay(method):
    x = relax.Var("x", relax.TensorType((2,), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.op.tanh(x)))
    mod = builder.get()
    assert lower(mod, Options.parse(method=method), None, FORMATS, 4) is mod


def test_weights_of_bytes_are_grouped():
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (1, 3 * UNITS, UNITS)).astype(np.int8)
    factors = rng.uniform(size=(1, 3 * UNITS)).astype(np.float32)
    x = relax.Var("x", relax.TensorType((STEPS, ROWS, 3 * UNITS), "float32"))
    h = relax.Var("h", relax.TensorType((1, ROWS, UNITS), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, h]):
        with builder.dataflow():
            given = relax.const(weights), relax.const(factors)
            results = builder.emit(recurrent(x, *given, h, **GRU, bytes=True))
            y = builder.emit_output(relax.TupleGetItem(results, 0))
        builder.emit_func_output(y)
    tile = RecurrentTile(2, 4, ROWS)
    mod = lower(builder.get(), Options.parse(), lambda *extents: tile, FORMATS, 4)
    (call,) = kernel_calls(mod["main"])
    _, *panels, scales, totals, _ = call.args[1]
    form = FORMATS[0]
    groups = form.grouped_rows(weights[0].T).T[None]
    for made, gates in zip(panels, [(0, 1), (2,)], strict=True):
        np.testing.assert_array_equal(made.value.numpy(), packed(groups, gates, 4, UNITS))
    np.testing.assert_array_equal(scales.value.numpy(), factors)
    np.testing.assert_array_equal(totals.value.numpy(), weights.sum(-1, np.int32))
    options = KernelSpec.of(mod[call.args[0]]).options
    assert (options["left"], options["lanes"]) == (form.left, 4)
