"""With ``tunable=True`` a rule's choices are a tuner's to make, and none changes a bit."""

import numpy as np
import pytest
from tvm import s_tir, te, topi

from quake_tvm import compute
from quake_tvm.named_targets import target
from quake_tvm.passes.pack_weights import packed_matmul, panels
from quake_tvm.schedules import (
    depthwise,
    elementwise,
    exact_softmax,
    fallback,
    matmul,
    pooling,
    reduction,
    rows,
    schedule,
)
from quake_tvm.schedules.fence import fence_products
from quake_tvm.schedules.overlap import overlap_tiles
from tests.schedules.kernels import (
    RNG,
    build_and_run,
    convolution,
    placeholder,
    random_inputs,
)
from tests.schedules.kernels import depthwise as depthwise_kernel


def one(make, *shape):
    x = placeholder(*shape)
    return [x], make(x), {}


def product(m, n):
    a, b = placeholder(m, 19, name="a"), placeholder(19, n, name="b")
    return [a, b], topi.nn.relu(topi.matmul(a, b)), {}


def packed(m, n, kind):
    weights = RNG(1).normal(size=(19, n)).astype(np.float32)
    given = panels(weights, matmul.panel(m, n, target(kind)))
    a, w, b = placeholder(m, 19, name="a"), placeholder(*given.shape, name="w"), placeholder(n)
    return [a, w, b], topi.nn.relu(topi.add(packed_matmul(a, w, n), b)), {"w": given}


def convolved(kind):
    inputs, y, given, _ = convolution((1, 9, 17, 5), 33, 3, name=kind, strides=2, padding=(1, 0))
    return inputs, topi.nn.relu(y), given


def depthwise_relu(_):
    inputs, y = depthwise_kernel((1, 7, 13, 33), 3, padding=(1, 1))
    return inputs, topi.nn.relu(y), {}


def mean(x):
    return topi.divide(topi.sum(x, 1), 21.0)


# Rules with choices, and kernels for them.
CHOOSING = {
    "matmul": (matmul, lambda _: product(33, 40)),
    "matmul_of_one_column_of_tiles": (matmul, lambda _: product(7, 15)),
    "matmul_packed": (matmul, lambda kind: packed(17, 97, kind)),
    "convolution": (matmul, convolved),
    "depthwise": (depthwise, depthwise_relu),
    "pooling": (pooling, lambda _: one(lambda x: topi.tanh(topi.sum(x, 1)), 3, 9, 97)),
}
OTHERS = {
    "rows": (rows, lambda _: one(lambda x: compute.softmax(x, method="quake2"), 5, 40)),
    "exact_softmax": (exact_softmax, lambda _: one(topi.nn.softmax, 5, 40)),
    "elementwise": (elementwise, lambda _: one(topi.tanh, 5, 40)),
    "reduction": (reduction, lambda _: one(mean, 32, 21)),
    "fallback": (fallback, lambda _: one(lambda x: topi.sum(x, 1), 5, 21)),
}


def choices(sch):
    """The trace's sampling instructions."""
    return [i for i in sch.trace.insts if i.kind.name.startswith("Sample")]


def replayed(function, sch, decisions):
    """The schedule with other decisions, as a tuner's database would have it."""
    trace = sch.trace
    for instruction, decision in zip(choices(sch), decisions, strict=True):
        trace = trace.with_decision(instruction, decision, remove_postproc=False)
    fresh = s_tir.Schedule(function)
    trace.apply_to_schedule(fresh, remove_postproc=False)
    return overlap_tiles(fresh.mod["main"])


@pytest.mark.parametrize("kind", ["x86-64-v3", "native"])
@pytest.mark.parametrize("name", CHOOSING)
def test_every_choice_gives_the_same_bits(name, kind):
    rule, make = CHOOSING[name]
    inputs, y, given = make(kind)
    function = te.create_prim_func([*inputs, y])
    arrays, shape = random_inputs(inputs, given), [int(n) for n in y.shape]
    expected = build_and_run(schedule(function, target(kind)), arrays, shape, kind)
    fenced = fence_products(function)
    sch = rule.apply(fenced, target(kind), True)
    (choice,) = choices(sch)
    candidates = len(choice.attrs[0])
    assert candidates > 1
    scripts = set()
    for decision in range(candidates):
        chosen = replayed(fenced, sch, [decision])
        scripts.add(chosen.script())
        np.testing.assert_array_equal(build_and_run(chosen, arrays, shape, kind), expected)
    assert len(scripts) == candidates


@pytest.mark.parametrize("name", CHOOSING)
def test_undecided_is_the_rules_own_choice(name):
    rule, make = CHOOSING[name]
    inputs, y, _ = make("native")
    fenced = fence_products(te.create_prim_func([*inputs, y]))
    tuned, ruled = (rule.apply(fenced, target(), tunable).mod["main"] for tunable in (True, False))
    assert tuned.script() == ruled.script()
    assert not choices(rule.apply(fenced, target(), False))


@pytest.mark.parametrize("name", OTHERS)
def test_rules_without_choices(name):
    rule, make = OTHERS[name]
    inputs, y, _ = make("native")
    fenced = fence_products(te.create_prim_func([*inputs, y]))
    tuned, ruled = (rule.apply(fenced, target(), tunable) for tunable in (True, False))
    assert not choices(tuned)
    assert tuned.mod["main"].script() == ruled.mod["main"].script()
