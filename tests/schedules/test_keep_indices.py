"""Reversed, shifted and repeated indices reach the elements that they name."""

from collections.abc import Iterable

import numpy as np
import pytest
import tvm
from tvm import relax, te
from tvm.script import tirx as T

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from quake_tvm.schedules.keep_indices import keep_indices

from .movements import chain

NATIVE = target("native")
# The extent of the input, that of the result, and the index of the input's element.
INDICES = {
    "reverse, repeat": (8, 16, lambda i: (15 - i) // 2),
    "reverse, repeat, repeat": (4, 16, lambda i: (15 - i) // 2 // 2),
    "reverse, tile": (4, 16, lambda i: (15 - i) % 4),
    "roll": (8, 8, lambda i: (i + 4) % 8),
    "roll, roll": (3, 3, lambda i: ((i + 2) % 3 + 4) % 3),
    "reverse, roll": (8, 8, lambda i: ((7 - i) + 4) % 8),
    "roll, reverse": (8, 8, lambda i: 7 - (i + 4) % 8),
    "shift, repeat, tile": (4, 16, lambda i: ((i + 3) // 5) % 3),
}


def kernel(name):
    count, result, index = INDICES[name]
    a = te.placeholder((count,), "float32", name="a")
    return te.create_prim_func([a, te.compute((result,), lambda i: a[index(i)], name="y")])


def run(function, x, count):
    y = tvm.runtime.tensor(np.zeros(count, np.float32))
    tvm.compile(function, target=NATIVE)["main"](tvm.runtime.tensor(x), y)
    return y.numpy()


@pytest.mark.parametrize("name", INDICES)
def test_an_index(name):
    count, result, index = INDICES[name]
    x = np.arange(count, dtype=np.float32)
    expected = x[[index(i) for i in range(result)]]
    np.testing.assert_array_equal(run(schedule(kernel(name), NATIVE), x, result), expected)


def test_tvm_still_needs_this():
    """Once TVM computes these addresses right, the pass can go."""
    count, result, _ = INDICES["reverse, repeat"]
    x = np.arange(count, dtype=np.float32)
    assert np.any(run(kernel("reverse, repeat"), x, result) != x[[7 - i // 2 for i in range(16)]])


def test_other_kernels_are_unchanged():
    a = te.placeholder((6, 8), "float32", name="a")
    y = te.compute((48,), lambda i: a[i // 8, i % 8] + a[5, 7 - i % 8], name="y")
    function = te.create_prim_func([a, y])
    assert keep_indices(function).same_as(function)


def test_what_divides_is_divided():
    """A head of a query, key and value in one tensor: the shift is a multiple, and disappears."""
    x = te.placeholder((196, 2304), "float32", name="x")
    flat = [lambda i, j: (768 + j) // 2304 + i, lambda i, j: (768 + j) % 2304]
    y = te.compute((196, 768), lambda i, j: x[flat[0](i, j), flat[1](i, j)], name="y")
    assert "^" not in schedule(te.create_prim_func([x, y]), NATIVE).script()


def test_a_block_may_be_bound_in_reverse():
    @T.prim_func(s_tir=True, private=True)
    def reverse(x: T.Buffer((8,), "float32"), y: T.Buffer((16,), "float32")):
        for i in range(16):
            with T.sblock("y"):
                v = T.axis.spatial(16, 15 - i)
                y[v] = x[v // 2]

    x = np.arange(8, dtype=np.float32)
    function = reverse.with_attr("global_symbol", "main")
    np.testing.assert_array_equal(run(schedule(function, NATIVE), x, 16), x.repeat(2))


def wrong(seeds: Iterable[int]) -> list[str]:
    """The chains of these seeds, compiled as one module, whose results are not NumPy's."""
    chains = [chain(seed) for seed in seeds]
    builder, results = relax.BlockBuilder(), []
    inputs = [
        relax.Var(f"x{k}", relax.TensorType(each.x.shape, "float32"))
        for k, each in enumerate(chains)
    ]
    with builder.function("main", inputs):
        with builder.dataflow():
            for each, value in zip(chains, inputs, strict=True):
                value = builder.emit(relax.op.multiply(value, relax.const(2.0)))
                for step in each.steps:
                    value = step.emit(builder, value)
                results.append(value)
            result = builder.emit_output(relax.Tuple(results))
        builder.emit_func_output(result)
    found = quake_tvm.compile(builder.get(), method="exact").run(*[each.x for each in chains])
    pairs = zip(chains, found, strict=True)
    return [str(each) for each, y in pairs if not np.array_equal(y, 2 * each.y)]


def test_random_movements():
    assert not wrong(range(40)) + wrong(range(40, 80))


@pytest.mark.sweep
@pytest.mark.parametrize("start", range(1000, 11_000, 1000))
def test_many_random_movements(start):
    assert not [text for k in range(start, start + 1000, 40) for text in wrong(range(k, k + 40))]
