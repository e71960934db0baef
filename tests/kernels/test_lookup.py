"""The look-up kernel: against float64, and its bits whatever is chosen."""

import re

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.kernels.lookup import lookup_ffn
from quake_tvm.lookup.layer import LookupLayer, hashed
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import bound
from quake_tvm.passes.relax import lower_kernels
from quake_tvm.schedules import RULE, schedule
from quake_tvm.tvm_version import tir
from tests.kernels.test_assembly import LIBM, MACHINES

# (rows, tables, bits, width of the result); with one element, odd ones, and without rows.
SIZES = [(3, 128, 8, 96), (5, 7, 3, 37), (1, 1, 1, 1), (2, 17, 5, 16), (0, 3, 2, 5)]
FORMS = ("float32", "bfloat16", "int8")


def operands(rows, count, bits, width, form="float32"):
    """z, the tables, their scales if they have any, and the bias; the tables as float64."""
    random = np.random.default_rng([rows, count, bits])
    z = random.standard_normal((rows, bits * count)).astype(np.float32)
    bias = random.standard_normal(width).astype(np.float32)
    tables = random.standard_normal((count << bits, width)).astype(np.float32) * np.float32(0.1)
    stored = LookupLayer(np.empty((1, 0)), bias, tables, bias, bits).stored(form)
    wide = stored[0].astype(np.float64)
    if form == "int8":
        wide = wide * stored[1][:, None]
    return [z, *stored, bias], wide


def kernel(arrays, bits, symbolic=False, method="quake5", **options):
    shapes = [list(array.shape) for array in arrays]
    if symbolic:
        shapes[0][0] = tir.Var("n", "int64")
    tensors = [
        te.placeholder(shape, str(array.dtype), f"x{k}")
        for k, (shape, array) in enumerate(zip(shapes, arrays, strict=True))
    ]
    made = lookup_ffn(*tensors, bits=bits, method=method, **options)
    return te.create_prim_func([*tensors, made], "int64")


def run(functions, arrays, kind="native", own=True):
    """The results of several kernels of equal operands, compiled together."""
    on = target(kind)
    done = {f"f{n}": schedule(f, on) if own else f for n, f in enumerate(functions)}
    assert not own or all(f.attrs[RULE] == "lookup" for f in done.values())
    named = {name: f.with_attr("global_symbol", name) for name, f in done.items()}
    built = tvm.compile(tvm.IRModule(named), target=on, tir_pipeline=lower_kernels.NAME)
    results = []
    for name in named:
        out = tvm.runtime.empty((len(arrays[0]), len(arrays[-1])), "float32")
        built[name](*map(tvm.runtime.tensor, arrays), out)
        results.append(out.numpy())
    return results


def reference(z, tables, bias, bits):
    """In float64: the result, and the sum of what is added, without signs."""
    rows = z.reshape(len(z), bits, z.shape[1] // bits).astype(np.float64)
    size = np.abs(rows)
    scores = size.sum(1) / np.prod(1 + np.exp(-2 * size), 1)
    values = tables[hashed(z, bits).codes] * scores[..., None]
    return values.sum(1) + bias, np.abs(values).sum(1) + np.abs(bias)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_against_float64(size, form):
    arrays, tables = operands(*size, form)
    bits = size[2]
    expected, sizes = reference(arrays[0], tables, arrays[-1], bits)
    methods = (*METHODS, None) if size == SIZES[1] else ("quake2",)
    functions = [kernel(arrays, bits, method=method) for method in methods]
    *found, symbolic = run([*functions, kernel(arrays, bits, True, methods[0])], arrays)
    for method, result in zip(methods, found, strict=True):
        # Each factor 1 + exp(..) has at most half of exp's relative error.
        share = 0.0 if method is None else bound("exp", method).relative
        allowed = 1 / (1 - share / 2) ** bits - 1 + (size[1] + 2 * bits) * 2.0**-23
        assert np.all(np.abs(result - expected) <= allowed * sizes), method
    np.testing.assert_array_equal(symbolic, found[0])


def test_no_choice_changes_a_bit():
    arrays, _ = operands(9, 24, 4, 100)
    plain = run([kernel(arrays, 4, ahead=0, parallel=0)], arrays, own=False)[0]
    choices = [{"columns": 16, "ahead": 3}, {"columns": 112, "ahead": 40}, {"parallel": 1}]
    functions = [kernel(arrays, 4, **choice) for choice in choices]
    for kind in ("native", "x86-64-v3"):
        for found in run(functions, arrays, kind, own=False) + run(functions[:1], arrays, kind):
            np.testing.assert_array_equal(found, plain)


def test_special_values():
    arrays, _ = operands(6, 16, 4, 32)
    z = arrays[0]
    z[0], z[1, 3], z[2, 3], z[3], z[4], z[5] = 0, np.nan, np.inf, -0.0, 1e-45, 1e30
    (found,) = run([kernel(arrays, 4)], arrays)
    tables, bias = arrays[1], arrays[-1]
    np.testing.assert_array_equal(found[0], bias)  # a score of 0
    assert np.isnan(found[1]).all()
    assert not np.isfinite(found[2]).any()
    np.testing.assert_array_equal(found[3], bias)
    assert np.isfinite(found[5]).all()
    expected, _ = reference(z[4:], tables.astype(np.float64), bias, 4)
    np.testing.assert_allclose(found[4:], expected, rtol=2e-5)


@pytest.mark.parametrize("kind", ["x86-64-v3", "x86-64-v4", "aarch64"])
def test_code_has_vectors_prefetches_and_no_calls_of_libm(kind):
    arrays, _ = operands(4, 32, 8, 96)
    on = target(kind)
    built = tvm.compile(schedule(kernel(arrays, 8), on), target=on)
    assembly = built.mod.inspect_source("asm")
    whole, _ = MACHINES[kind]
    assert len(re.findall(whole, assembly)) > 10
    assert re.search(r"\bprefetch|\bprfm\b", assembly)
    assert not LIBM.search(assembly)
