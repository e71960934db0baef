"""The candidates of a kernel: all of them, the rule's default first, none twice."""

import itertools

import pytest
from tvm import te, topi
from tvm_ffi import structural_hash

from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_weights import packed_matmul
from quake_tvm.schedules import product_tiles, schedule
from quake_tvm.schedules.choice import Key
from quake_tvm.schedules.space import candidates, key_of
from tests.schedules.kernels import placeholder
from tests.schedules.tunable import KERNELS, WRITTEN_OUT, unscheduled

ANY = target("x86-64-v4")
pytestmark = pytest.mark.usefixtures("threads_are_a_choice")


def kernel(name):
    return unscheduled(name, "x86-64-v4")[1]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("pooling", {"vectors": (4, 2, 1), "parallel": (0, 1)}),
        ("elementwise_flat", {"several": (4, 1, 2, 8), "parallel": (0, 1)}),
        ("reduction", {"rows": (16, 4, 8, 32), "parallel": (0, 1)}),
        ("softmax_of_short_rows", {"rows_at_once": (4, 1, 2), "parallel": (0, 1)}),
    ],
)
def test_every_number_is_combined_with_every_other(name, numbers):
    found = [tuple(c.numbers.items()) for c in candidates(kernel(name), ANY)]
    options = [[(name, n) for n in each] for name, each in numbers.items()]
    assert sorted(found) == sorted(itertools.product(*options))
    assert found[0] == tuple(each[0] for each in options)


@pytest.mark.parametrize("name", ["matmul", "matmul_packed", "depthwise", "attention"])
def test_no_code_comes_twice(name):
    found = [structural_hash(c.function) for c in candidates(kernel(name), ANY, 40)]
    assert len({*found}) == len(found) == min(40, len(found))


@pytest.mark.slow
def test_some_are_drawn_and_the_own_is_among_them():
    function = kernel("matmul")
    every = {structural_hash(c.function) for c in candidates(function, ANY, 10_000)}
    drawn = [[structural_hash(c.function) for c in candidates(function, ANY, 7, n)] for n in (0, 1)]
    assert drawn[0] == [structural_hash(c.function) for c in candidates(function, ANY, 7)]
    assert {*drawn[0]} != {*drawn[1]}
    for some in drawn:
        assert some[0] == structural_hash(schedule(function, ANY))
        assert len(some) == 7
        assert {*some} < every


def test_packed_products_come_in_every_width():
    function = kernel("matmul_packed")
    found = candidates(function, ANY, 10)
    layouts = [c.layout for c in found]
    assert layouts[0] == int(function.params[1].ty.shape[-1])
    assert {*layouts} == {*product_tiles.widths(97, ANY).values()}
    for candidate in found:
        panels, depth, width = (int(n) for n in candidate.function.params[1].ty.shape)
        assert (width, depth) == (candidate.layout, 20)
        assert panels == -(-97 // width)
        assert candidate.numbers["vectors"] * 16 == width
        assert [p.name for p in candidate.function.params] == [p.name for p in function.params]


@pytest.mark.parametrize("name", [*KERNELS, *WRITTEN_OUT])
def test_all_candidates_have_the_kernels_key(name):
    function = kernel(name)
    key = key_of(function, ANY)
    assert key.known
    assert {c.key for c in candidates(function, ANY, 5)} == {key}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("matmul_batched", Key("batched_matmul", (3, 9, 35, 20))),
        ("convolution_of_groups", Key("grouped_convolution", (2, 10, 35, 36))),
        ("depthwise", Key("depthwise", (7, 13, 33, 9))),
        ("pooling", Key("pooling", (27, 97))),
        ("elementwise_flat", Key("gelu", (385,))),
        ("elementwise_with_bias", Key("gelu", (5, 77))),
        ("elementwise_transpose", Key("elementwise", (21, 33))),
        ("reduction", Key("reduction", (32, 21))),
        ("softmax_with_a_mask", Key("softmax", (10, 40))),
        ("layer_norm", Key("layer_norm", (7, 70))),
        ("attention", Key("attention", (2, 13, 35, 40))),
    ],
)
def test_keys(name, key):
    assert key_of(kernel(name), ANY) == key


def test_what_only_the_run_knows_is_not_tuned():
    n = te.var("n", dtype="int64")
    x = placeholder(n, 40)
    function = te.create_prim_func([x, topi.tanh(x)])
    assert key_of(function, ANY) is None
    assert candidates(function, ANY) == []


def test_panels_of_another_target_stay():
    a, w = placeholder(8, 20, name="a"), placeholder(4, 20, 24, name="w")
    function = te.create_prim_func([a, w, packed_matmul(a, w, 96)])
    found = candidates(function, ANY)
    assert bool(found) == (key_of(function, ANY) is not None)
    assert {c.layout for c in found} <= {24}
