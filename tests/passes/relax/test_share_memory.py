"""Tensors of symbolic sizes share memory: never two at a time, and never one that does not fit."""

import math

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import relax, tirx

import quake_tvm
from quake_tvm.passes.relax import share_memory
from quake_tvm.passes.relax.graph import op_name
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.passes.relax.share_memory import ShareMemory
from tests.helpers import module, once

STORAGE, TENSOR = "relax.memory.alloc_storage", "relax.memory.alloc_tensor"
N, H, W = (tirx.Var(name, "int64") for name in "nhw")
op = relax.op


def convolved(x, channels, stride):
    rng = np.random.default_rng(channels)
    wide = rng.normal(size=(channels, int(x.ty.shape[1]), 3, 3)).astype(np.float32)
    return once(op.nn.conv2d(x, relax.const(wide), strides=stride, padding=1))


def pyramid(x):
    """Convolutions of images whose sides are halved, each of another size."""
    for channels in (8, 16, 24, 32):
        x = convolved(convolved(x, channels, 2), channels, 1)
    return x


def encoder(x):
    """Products, a norm of the rows and views of several sizes."""
    for width in (48, 16, 40, 8):
        weights = np.ones((int(x.ty.shape[-1]), width), np.float32) / 9
        x = once(op.nn.softmax(once(op.matmul(x, relax.const(weights)))))
        x = once(op.permute_dims(x, [1, 0, 2]))
        x = once(op.sort(once(op.reshape(x, (x.ty.shape[0] * x.ty.shape[1], width)))))
        x = once(op.reshape(x, (W, H, width)))
    return x


def narrowing(x):
    """Slices that become empty, and sizes that are negative in short rows."""
    for k in range(1, 5):
        x = once(op.sort(once(op.strided_slice(x, [1], [k], [x.ty.shape[1]]))))
        x = once(op.nn.softmax(x, axis=0))
    return x


CASES = [
    (pyramid, (N, 3, H, W)),
    (encoder, (W, H, 24)),
    (narrowing, (H, W)),
    (lambda x: convolved(pyramid(x), 8, 1), (1, 3, H, H)),
]


def before_and_after(formula, shape):
    on = quake_tvm.target("native")
    with on:
        pipeline = Pipeline.of(on, method="quake4")
        mod = pipeline.between("prepare", "schedule")(module(formula, shape))
        for step in pipeline._finish():
            if isinstance(step, ShareMemory):
                return mod["main"], step(mod)["main"]
            mod = step(mod)
    raise AssertionError("the pipeline has no such step")


def bindings(function):
    return [binding for block in function.body.blocks for binding in block.bindings]


def number(expr, sizes):
    """The value of an expression of these sizes."""
    constants = {var: tirx.const(n, "int64") for var, n in sizes.items()}
    by_name = {str(var.name): n for var, n in constants.items()}
    value = tvm_ffi.structural_map(expr, [(tirx.Var, lambda v: by_name.get(str(v.name)))])
    return int(tvm.sym.Analyzer().simplify(value).value)


def storages(function, sizes):
    """The bytes of each block of memory."""
    calls = [b for b in bindings(function) if op_name(b.value) == STORAGE]
    return {b.var: number(b.value.args[0].values[0], sizes) for b in calls}


@pytest.mark.parametrize(("formula", "shape"), CASES)
def test_each_tensor_is_alone_in_its_memory_while_it_is_used(formula, shape):
    _, function = before_and_after(formula, shape)
    owner, root, seen = {}, {}, 0
    for binding in bindings(function):
        mentioned = []
        relax.analysis.post_order_visit(binding.value, mentioned.append)
        if op_name(binding.value) == TENSOR:
            owner[binding.value.args[0]] = binding.var
            root[binding.var] = binding.var, binding.value.args[0]
            continue
        views = [root[e] for e in mentioned if isinstance(e, relax.Var) and e in root]
        for tensor, storage in views:
            assert owner[storage].same_as(tensor)
            seen += 1
        if len(views) == 1:
            root[binding.var] = views[0]
    assert seen > 8


@pytest.mark.parametrize(("formula", "shape"), CASES)
def test_every_tensor_fits_and_the_memory_is_less(formula, shape):
    before, after = before_and_after(formula, shape)
    for sizes in ({N: 2, H: 31, W: 40}, {N: 1, H: 64, W: 64}, {N: 3, H: 9, W: 200}):
        blocks = storages(after, sizes)
        for binding in bindings(after):
            if op_name(binding.value) == TENSOR:
                elements = math.prod(number(n, sizes) for n in binding.var.ty.shape)
                bytes_ = elements * tvm.DataType(str(binding.var.ty.dtype)).bits // 8
                assert bytes_ <= blocks[binding.value.args[0]]
        assert sum(blocks.values()) < sum(storages(before, sizes).values())
    assert len(blocks) < len(storages(before, sizes))


@pytest.mark.parametrize(
    ("h", "w", "largest"),
    [(9, 9, 4 * 6 * 4), (20, 2, 4 * 20), (3, 2**45, 12), (2**40, 2**40, 4 * 2**40), (0, 9, 0)],
)
def test_sizes_that_their_check_refuses_do_not_count(h, w, largest):
    sizes = 4 * H, 4 * (H - 3) * (W - 5), 4 * H
    tensors = [share_memory._Tensor(size, 1, k, k) for k, size in enumerate(sizes)]
    block = share_memory._Block(1, tensors)
    assert number(block.size(), {H: h, W: w}) == largest


def test_results_are_those_of_constant_sizes():
    model = quake_tvm.compile(module(pyramid, (N, 3, H, W)))
    for size in ((2, 3, 31, 40), (1, 3, 8, 9), (1, 3, 64, 64)):
        x = np.random.default_rng(0).standard_normal(size).astype(np.float32)
        static = quake_tvm.compile(module(pyramid, size))
        np.testing.assert_array_equal(model.run(x)[0], static.run(x)[0])
