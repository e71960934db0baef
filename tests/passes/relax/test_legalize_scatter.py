"""scatter_elements against loops: few indices, every reduction, NaN and repeated indices."""

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import relax

import quake_tvm
from quake_tvm.passes.relax.legalize import legalize
from quake_tvm.passes.relax.legalize_scatter import RULES
from quake_tvm.tvm_version import tir
from tests.helpers import module, once

REDUCTIONS = {
    "update": lambda _, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "min": np.minimum,
    "max": np.maximum,
}
# Shapes of the data, of the indices, and the axis.
CASES = [
    ((17, 7, 8), (5, 1, 7), 2),
    ((9, 5, 1), (4, 3, 1), 0),
    ((9, 5, 4), (4, 9, 2), 1),
    ((6,), (4,), 0),
    ((3, 4), (3, 4), 1),
    ((3, 4), (0, 4), 1),
]


def loops(x, indices, updates, axis, combine):
    y = x.copy()
    for at in np.ndindex(*indices.shape):
        to = (*at[:axis], indices[at], *at[axis + 1 :])
        y[to] = combine(y[to], updates[at])
    return y


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_values(dtype):
    rng = np.random.default_rng(0)
    builder, params, arrays, wanted = relax.BlockBuilder(), [], [], []
    for shape, counts, axis in CASES:
        x = (rng.normal(size=shape) * 9).astype(dtype)
        updates = (rng.normal(size=counts) * 9).astype(dtype)
        if dtype == "float32":
            x.flat[::5], updates.flat[::7] = np.nan, np.nan
        indices = rng.integers(-shape[axis], shape[axis], counts)
        for k, a in enumerate((x, indices, updates)):
            kind = relax.TensorType(a.shape, str(a.dtype))
            params.append(relax.Var(f"x{len(params)}_{k}", kind))
            arrays.append(a)
    with builder.function("main", params):
        with builder.dataflow():
            results = []
            for k, (_, _, axis) in enumerate(CASES):
                three = params[3 * k : 3 * k + 3]
                for name, combine in REDUCTIONS.items():
                    call = relax.op.scatter_elements(*three, axis=axis, reduction=name)
                    results.append(builder.emit(call))
                    wanted.append(loops(*arrays[3 * k : 3 * k + 3], axis, combine))
            output = builder.emit_output(relax.Tuple(results))
        builder.emit_func_output(output)
    model = quake_tvm.compile(builder.get(), method="exact")
    for y, w in zip(model.run(*arrays), wanted, strict=True):
        np.testing.assert_array_equal(y, w)


def test_any_length():
    n, m = (tvm.tirx.Var(v, "int64") for v in "nm")
    x = relax.Var("x", relax.TensorType((n, 6), "float32"))
    indices = relax.Var("i", relax.TensorType((m, 2), "int64"))
    updates = relax.Var("u", relax.TensorType((m, 2), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, indices, updates]):
        with builder.dataflow():
            call = relax.op.scatter_elements(x, indices, updates, axis=1, reduction="add")
            output = builder.emit_output(call)
        builder.emit_func_output(output)
    model = quake_tvm.compile(builder.get(), method="exact")
    rng = np.random.default_rng(0)
    for rows, fewer in ((5, 3), (4, 4), (7, 0)):
        given = rng.integers(-9, 9, (rows, 6)).astype("float32")
        places = rng.integers(-6, 6, (fewer, 2))
        new = rng.integers(-9, 9, (fewer, 2)).astype("float32")
        (y,) = model.run(given, places, new)
        np.testing.assert_array_equal(y, loops(given, places, new, 1, REDUCTIONS["add"]))


@pytest.mark.parametrize("accumulate", [False, True])
def test_one_core_puts_values_at_equal_indices(accumulate):
    def put(x, places, values):
        places = once(relax.op.astype(places, "int64"))
        return relax.op.index_put(x, (places,), values, accumulate)

    mod = module(put, (5,), (40,), (40,))
    loops = []

    def see(loop):
        loops.extend([loop] if loop.kind == tir.ForKind.PARALLEL else [])

    for function in legalize(mod, RULES).functions.values():
        if isinstance(function, tir.PrimFunc):
            tvm_ffi.structural_walk(function.body, (tir.For, see))
    (copy,) = loops
    assert copy.body.indices[0].same_as(copy.loop_var)
    rng = np.random.default_rng(0)
    x, places, values = rng.normal(size=5), rng.integers(-5, 5, 40), rng.integers(-9, 9, 40)
    wanted = x.astype("float32")
    (np.add.at if accumulate else np.put)(wanted, places, values)
    arrays = (each.astype("float32") for each in (x, places, values))
    np.testing.assert_array_equal(quake_tvm.compile(mod).run(*arrays)[0], wanted)
