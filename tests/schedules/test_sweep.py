"""Every rule with every epilogue, bit by bit against plain loops: a sample, and all with -m sweep.

"All" means each kernel of :mod:`sweep_kernels` with each epilogue, for each extent from 1 to 70
once, and with chains of two epilogues.
"""

import random
from collections import Counter

import numpy as np
import pytest
import tvm
from tvm import te, topi
from tvm.script import tirx as T

from quake_tvm.kernels import compute
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_convolutions import packed_convolution
from quake_tvm.passes.relax.pack_weights import packed_matmul, panels
from quake_tvm.schedules import RULE, analysis, attention, product_tiles, schedule
from quake_tvm.schedules.fence import fence_products
from quake_tvm.schedules.tiles import substituted
from tests.schedules.kernels import build_and_run, placeholder, window
from tests.schedules.sweep import MOST, Guarded, Prepared, Trial, trials, wrong
from tests.schedules.sweep_epilogues import EPILOGUES
from tests.schedules.sweep_kernels import KERNELS

KINDS = ["x86-64-v3", "x86-64-v2"]
# The number of trials in one module, and of parts into which all trials are divided.
BATCH, PARTS = 100, 40


@pytest.mark.parametrize(("kind", "count"), [("x86-64-v2", 25), ("x86-64-v3", 35)])
def test_sample(kind, count):
    found, rules = wrong(random.Random(34).sample(trials(kind), count), optimized=True)
    assert not found, "\n".join(found)
    every = {"matmul", "depthwise", "winograd", "pooling", "reduction", "elementwise"}
    assert every <= set(rules)


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", KINDS)
def test_all(kind, part):
    every = trials(kind)
    mine = random.Random(0).sample(every, len(every))[part::PARTS]
    rules, found = Counter(), []
    for n in range(0, len(mine), BATCH):
        several, counts = wrong(mine[n : n + BATCH])
        found += several
        rules.update(counts)
    assert not found, "\n".join(found)
    assert rules.total() == len(mine)


def test_every_extent_comes_with_every_epilogue():
    extents = {}
    for trial in trials("x86-64-v3"):
        extents.setdefault((trial.kernel, trial.epilogues), []).append(trial.extents)
    for kernel in KERNELS:
        for epilogues in [(), *((name,) for name in EPILOGUES)]:
            for each in zip(*extents[kernel, epilogues], strict=True):
                assert sorted(each) == list(range(1, MOST + 1))


@T.prim_func(s_tir=True)
def copied(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
    for i in range(20):
        with T.sblock("y"):
            v = T.axis.spatial(20, i)
            y[v] = x[v]


@T.prim_func(s_tir=True)
def one_element_wrong(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
    for i in range(20):
        with T.sblock("y"):
            v = T.axis.spatial(20, i)
            y[v] = x[T.min(v, 18)]


@T.prim_func(s_tir=True)
def one_element_behind(x: T.Buffer((20,), "float32"), y: T.Buffer((20,), "float32")):
    for i in range(21):
        with T.sblock("y"):
            v = T.axis.spatial(21, i)
            y[v] = x[T.min(v, 19)]


@pytest.mark.parametrize(
    ("function", "message"),
    [(copied, None), (one_element_wrong, "1 of 20 differ"), (one_element_behind, "writes outside")],
)
def test_a_wrong_kernel_is_found(monkeypatch, function, message):
    x = np.arange(20, dtype=np.float32)
    marked = function.with_attr(RULE, "test")
    monkeypatch.setattr(
        Trial, "prepared", lambda trial: Prepared(trial, copied, marked, [x], [20], "float32")
    )
    found, _ = wrong([Trial("elementwise", (), (20,), "x86-64-v3")])
    assert [message in each for each in found] == ([True] if message else [])


def of_panels(n, kind):
    weights = np.random.default_rng(1).normal(size=(6, 33)).astype(np.float32)
    given = panels(weights, product_tiles.panel(None, 33, target(kind)))
    x, w = placeholder(n, 6), placeholder(*given.shape, name="w")
    return [x, w], packed_matmul(x, w, 33), {"w": given}


def of_matrices(n, kind):
    x, w = placeholder(2, n, 5), placeholder(2, 5, n, name="w")
    return [x, w], topi.nn.batch_matmul(x, w, transpose_b=False), {}


def convolved(n, kind):
    weights = np.random.default_rng(1).normal(size=(3, 4, 21)).astype(np.float32)
    given = panels(weights, product_tiles.panel(None, 21, target(kind)))
    x, w = placeholder(1, n, 4), placeholder(*given.shape, name="w")
    view = window(3, padding=(1, 1), rank=1)
    return [x, w], packed_convolution(x, w, [n], 21, view), {"w": given}


def chained(n, kind):
    x, b = placeholder(n, 21), placeholder(21, name="b")
    return [x, b], compute.elementwise(topi.add(x, b), "gelu", "quake2"), {}


def summed(n, kind):
    x = placeholder(n, 37)
    return [x], topi.sum(x, 1, keepdims=True), {}


def over_rows(n, kind):
    x = placeholder(5, n)
    return [x], compute.softmax(x, method="quake2"), {}


def half(t, axis):
    end = list(t.shape)
    end[axis] = (end[axis] + 1) // 2
    return te.compute(end, lambda *i: t(*i), name="half")


DYNAMIC = [of_panels, of_matrices, convolved, chained, summed, over_rows]
BEHIND = {
    "nothing": lambda t: t,
    "half_the_rows": lambda t: half(t, -2),
    "half_the_columns": lambda t: half(t, -1),
    "pad": lambda t: topi.nn.pad(t, [1] * len(t.shape), [2] * len(t.shape)),
    "concat": lambda t: topi.concatenate([t, t], axis=len(t.shape) - 2),
    "transpose": lambda t: topi.transpose(t, [*range(len(t.shape) - 2), -1, -2]),
    "cast": lambda t: topi.cast(t, "float64"),
    "gelu": lambda t: compute.elementwise(t, "gelu", "quake2"),
}


def sizes_at(t, n, length):
    """The shape of a tensor if n has this value."""
    value = tvm.tirx.const(length, "int64")
    return [int(KNOWN.simplify(substituted(size, [(n, value)]))) for size in t.shape]


def of_any_length(kind, cases, lengths):
    """Compile kernels once, and report what is wrong with them for these lengths."""
    functions, made, found = {}, [], []
    for make, behind in cases:
        n = te.var("n", dtype="int64")
        inputs, result, given = make(n, kind)
        result = BEHIND[behind](result)
        function = te.create_prim_func([*inputs, result])
        ours = schedule(function, target(kind))
        for name, each in (("plain", fence_products(function)), ("ours", ours)):
            name = f"{name}{len(made)}"
            functions[name] = each.with_attr("global_symbol", name)
        made.append((f"{make.__name__} {behind} ({ours.attrs[RULE]})", n, inputs, result, given))
    library = tvm.compile(tvm.IRModule(functions), target=target(kind))
    for number, (name, n, inputs, result, given) in enumerate(made):
        for length in lengths:
            rng, arrays = np.random.default_rng(length), []
            for t in inputs:
                arrays.append(Guarded(sizes_at(t, n, length), "float32", 255))
                plain = given.get(t.op.name)
                whole = rng.normal(size=arrays[-1].array.shape)
                arrays[-1].array[...] = whole if plain is None else plain
            shape = sizes_at(result, n, length)
            results = [Guarded(shape, str(result.dtype), 90) for _ in range(2)]
            for each, out in zip(("plain", "ours"), results, strict=True):
                library[f"{each}{number}"](*[a.tensor() for a in arrays], out.tensor())
            plain, ours = results
            if not ours.whole or plain.array.tobytes() != ours.array.tobytes():
                found.append(f"{name} of {length}")
    return found


KNOWN = tvm.sym.Analyzer()
CASES = [(make, behind) for make in DYNAMIC for behind in BEHIND]


def test_some_kernels_of_any_length():
    assert not of_any_length("x86-64-v3", CASES[::7], range(1, MOST + 1))


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", DYNAMIC)
def test_all_kernels_of_any_length(kind, make):
    cases = [case for case in CASES if case[0] is make]
    assert not of_any_length(kind, cases, range(1, MOST + 1))


def attended(kind, length, keys, features, tiles):
    options = {"axes": [0, 2, 1, 3] * 4, "tiles": tiles, "method": "quake2"}
    shapes = [(1, length, 2, 8), (1, keys, 2, 8), (1, keys, 2, features)]
    inputs = [placeholder(*shape, name=f"x{n}") for n, shape in enumerate(shapes)]
    function = te.create_prim_func([*inputs, KernelSpec("attention", options)(*inputs)], "int64")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    return build_and_run(function, arrays, (1, length, 2, features), kind)


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(10))
def test_attention_of_any_tiles(part):
    """Compared with tiles of one row and one vector."""
    kind, rng = "x86-64-v3", random.Random(0)
    lanes = analysis.lanes(target(kind))
    extents = [rng.sample(range(1, MOST + 1), MOST) for _ in range(3)]
    for length, keys, features in list(zip(*extents, strict=True))[part::10]:
        tiles = attention.tiles(length, keys, features, target(kind))
        if tiles is None:
            continue
        own = [n for tile in tiles for n in (tile.rows, tile.vectors, tile.lanes)]
        ours = attended(kind, length, keys, features, own)
        plain = attended(kind, length, keys, features, [1, 1, lanes] * 2)
        np.testing.assert_array_equal(ours, plain)
