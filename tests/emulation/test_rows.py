"""Kernels over rows give the same bits on every machine as here, and are within their bounds.

Rows of any length, static or dynamic, with the norms and attention. Attention over more keys than
fit is computed in blocks. Their size depends on the machine, so its bits are not compared.
"""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tvm import te

from quake_tvm.accuracy.row_search import exact
from quake_tvm.emulation import kernel
from quake_tvm.kernels import norms
from quake_tvm.kernels.attention import attention
from quake_tvm.kernels.attention_products import Operand
from quake_tvm.kernels.long_rows import MOST_KEYS
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound
from quake_tvm.schedules import schedule
from quake_tvm.schedules.attention import tiles
from tests.emulation import machines
from tests.emulation.machines import ARMV7
from tests.kernels.test_attention import allowed, reference
from tests.numerics.test_bits import flushed, sha

OVER_ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]
# One element, a rest behind whole vectors, and whole vectors alone; and more with -m sweep.
LENGTHS, MORE = (1, 37, 128), (1, 5, 37, 128, 197, 1024)
# The rungs that have a form of their own. test_bits has all rungs, at two lengths.
FIXED = ["quake1", "quake2"]
# All rungs have the longer list of lengths.
RUNGS = {LENGTHS: FIXED, MORE: list(METHODS)}
# The other machines differ only in the order of instructions. test_bits has them.
TRIED = ["cortex-a72", "neoverse-v1", ARMV7]
# This target has smaller vectors and other tiles than this machine, if this machine has AVX-512.
X86 = "x86-64-v3"
# Attention: heads, rows, keys, features of q and k, features of v.
SHORT, LONG = (2, 17, 49, 19, 33), (1, 9, MOST_KEYS * 2 + 5, 16, 48)
# Rows and keys that fill no tile.
FEW = [(1, 1), (2, 5), (3, 15), (7, 7), (5, 33)]
SCALE = 0.25
# The number of the rows below that are not finite.
SPECIAL = 4


def rows(length: int) -> np.ndarray:
    """Rows like those of a trained model, some with special values, some large or tiny."""
    x = np.random.default_rng(length).normal(0, 4, (11, length)).astype(np.float32)
    x[0, -1], x[1, 0], x[2], x[3, length // 2] = np.nan, np.inf, -np.inf, -np.inf
    x[SPECIAL, 0], x[SPECIAL + 1, -1], x[SPECIAL + 2] = 3e38, -3e38, x[SPECIAL + 2] * 1e-39
    return x


@pytest.fixture(params=[LENGTHS, pytest.param(MORE, marks=pytest.mark.sweep)], ids=["few", "more"])
def lengths(request):
    """The lengths of rows."""
    return request.param


def operators(calls: dict, functions: dict, lengths: tuple[int, ...]) -> None:
    """softmax, log_softmax and logsumexp at every length, compiled for that length and for any."""
    for operator in OVER_ROWS:
        for method in RUNGS[lengths]:
            general = f"{operator}_{method}"
            shape = [te.var(name, dtype="int64") for name in "mn"]
            functions[general] = machines.function(operator, method, shape)
            for length in lengths:
                x, fixed = rows(length), f"{general}_{length}"
                calls[operator, method, length, "any"] = machines.call(operator, general, x)
                if method in FIXED:
                    functions[fixed] = machines.function(operator, method, x.shape)
                    calls[operator, method, length, "fixed"] = machines.call(operator, fixed, x)


def weighted(calls: dict, functions: dict, lengths: tuple[int, ...]) -> None:
    """Both norms at every length."""
    for name, count in {"layer_norm": 2, "rms_norm": 1}.items():
        for length in lengths:
            x, symbol = rows(length), f"{name}_{length}"
            weights = [x[-1 - k] for k in range(count)]
            tensors = [te.placeholder(a.shape, name=f"t{n}") for n, a in enumerate([x, *weights])]
            y = getattr(norms, name)(*tensors, epsilon=1e-5)
            functions[symbol] = te.create_prim_func([*tensors, y])
            calls[name, "", length, "fixed"] = kernel.Call(
                symbol, [x, *weights], [(x.shape, "float32")]
            )


def operands(heads: int, length: int, keys: int, depth: int, width: int) -> list[np.ndarray]:
    """q, k, v, and a mask that masks all keys of one row."""
    rng = np.random.default_rng(keys)
    shapes = [(length, depth), (keys, depth), (keys, width)]
    mask = np.where(rng.random((length, keys)) < 0.2, -np.inf, 0).astype(np.float32)
    mask[1:2] = -np.inf
    return [*(rng.normal(size=(1, heads, *s)).astype(np.float32) for s in shapes), mask]


def attentions(calls: dict, functions: dict, on) -> None:
    """Attention with a mask: short rows, and rows that are computed in blocks of keys."""
    for sizes, method in {SHORT: "quake2", LONG: "quake5"}.items():
        heads, length, keys, _, width = sizes
        arrays = operands(*sizes)
        tensors = [te.placeholder(a.shape, name=f"t{n}") for n, a in enumerate(arrays)]
        options = {"operands": (Operand(),) * 4, "tiles": tiles(length, keys, width, on)}
        y = attention(*tensors, method=method, scale=SCALE, **options)
        functions[f"attention_{keys}"] = te.create_prim_func([*tensors, y])
        result = ((1, heads, length, width), "float32")
        calls["attention", method, keys, "fixed"] = kernel.Call(
            f"attention_{keys}", arrays, [result]
        )
        functions[f"attention_any_{keys}"] = of_any_size(sizes, method, on)
        for count, few in {(length, keys), *FEW}:
            arrays = operands(heads, count, few, *sizes[3:])
            calls["attention", method, few, f"any_{count}_{width}"] = kernel.Call(
                f"attention_any_{keys}", arrays, [((1, heads, count, width), "float32")]
            )


def of_any_size(sizes: tuple, method: str, on):
    """Attention with a mask, of which only depth and width are known."""
    heads, _, _, depth, width = sizes
    rows, keys = (te.var(axis, dtype="int64") for axis in ("rows", "keys"))
    shapes = [(1, heads, rows, depth), (1, heads, keys, depth), (1, heads, keys, width)]
    tensors = [te.placeholder(s, name=f"t{n}") for n, s in enumerate([*shapes, (rows, keys)])]
    options = {"operands": (Operand(),) * 4, "tiles": tiles(None, None, width, on)}
    y = attention(*tensors, method=method, scale=SCALE, **options)
    return te.create_prim_func([*tensors, y])


@functools.cache
def results(name: str, lengths: tuple[int, ...]) -> dict[tuple, np.ndarray]:
    """Every result on a machine, by operator, rung, length and whether the length was static."""
    on, calls, functions = machines.emulated(name), {}, {}
    operators(calls, functions, lengths)
    weighted(calls, functions, lengths)
    attentions(calls, functions, on)
    found = machines.run(functions, calls.values(), on)
    return dict(zip(calls, found, strict=True))


def same(a: np.ndarray, b: np.ndarray, x: np.ndarray, name: str) -> bool:
    """Whether two results for x have the same bits, where the machine promises that."""
    if name == ARMV7:
        a, b = flushed(x, a), flushed(x, b)
    return sha(a) == sha(b)


@pytest.mark.parametrize("name", [*TRIED, X86])
@pytest.mark.parametrize("operator", [*OVER_ROWS, "layer_norm", "rms_norm", "attention"])
def test_same_bits(operator, name, lengths):
    here, there = results("native", lengths), results(name, lengths)
    keys = [key for key in here if key[0] == operator]
    assert keys
    for key in keys:
        assert same(here[key], there[key], rows(key[2]), name), key


@pytest.mark.parametrize("operator", OVER_ROWS)
@pytest.mark.parametrize("name", ["native", *TRIED])
def test_a_length_that_only_the_run_knows_changes_no_bit(operator, name, lengths):
    found = results(name, lengths)
    for method in FIXED:
        for length in lengths:
            pair = [found[operator, method, length, kind] for kind in ("fixed", "any")]
            assert same(*pair, rows(length), name), (method, length)


@pytest.mark.parametrize("name", ["native", *TRIED])
def test_attention_of_any_size_has_the_bits_of_one_size(name):
    found = results(name, LENGTHS)
    for (_, length, keys, _, width), method in {SHORT: "quake2", LONG: "quake5"}.items():
        kinds = ("fixed", f"any_{length}_{width}")
        fixed, any_size = (found["attention", method, keys, kind] for kind in kinds)
        assert same(fixed, any_size, operands(1, length, keys, 1, 1)[0], name)


@pytest.mark.parametrize("operator", OVER_ROWS)
@pytest.mark.parametrize("name", TRIED)
def test_bounds(operator, name, lengths):
    results_of = results(name, lengths)
    for method in RUNGS[lengths]:
        promised = bound(operator, method)
        for length in lengths:
            x, found = rows(length)[SPECIAL:], results_of[operator, method, length, "any"]
            y = exact(operator, x)
            error = np.abs(found[SPECIAL:] - y)
            allowed_error = promised.relative * np.abs(y) + promised.absolute
            assert np.all(error <= allowed_error), (method, length)


@pytest.mark.parametrize("name", TRIED)
def test_attention_over_blocks_of_keys(name):
    found, (q, k, v, mask) = (
        results(name, LENGTHS)["attention", "quake5", LONG[2], "fixed"],
        operands(*LONG),
    )
    y = reference(q, k, v, mask, SCALE)
    assert np.array_equal(np.isnan(found), np.isnan(y))
    assert np.nanmax(np.abs(found - y)) <= allowed("quake5", v)


@pytest.fixture(scope="module")
def of_any_shape(tmp_path_factory):
    """Two machines, and a library of softmax for each."""
    axes, libraries = [te.var(axis, dtype="int64") for axis in "lmn"], []
    for name in ("native", "cortex-a72"):
        on = machines.emulated(name)
        built = {"softmax": schedule(machines.function("softmax", "quake2", axes), on)}
        path = tmp_path_factory.mktemp(name) / "softmax.so"
        libraries.append((on, kernel.export(built, on, path)))
    return libraries


@settings(max_examples=25, deadline=None)
@given(
    x=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=40),
        elements=st.floats(-300, 300, width=32),
    )
)
def test_softmax_of_any_shape(of_any_shape, x):
    y, there = (
        kernel.run(library, "softmax", [x], [(x.shape, "float32")], on)[0]
        for on, library in of_any_shape
    )
    assert sha(y) == sha(there)
