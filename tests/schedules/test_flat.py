"""Element-wise kernels as one loop, where nothing but the order of the axes is lost."""

import numpy as np
import pytest
import tvm
from tvm import relax, te, topi
from tvm.script import tirx as T

import quake_tvm
from quake_tvm.kernels import compute
from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from quake_tvm.schedules.flat import flattened, with_long_rows
from quake_tvm.schedules.versions import VERSIONS
from quake_tvm.tvm_version import tir
from tests.schedules.symbolic import SIZES, Symbolic, mixed, sized, variables


def test_loops_become_one():
    @T.prim_func(s_tir=True)
    def before(x_: T.handle, y_: T.handle):
        m, n = T.int64(), T.int64()
        x = T.match_buffer(x_, (m, n))
        y = T.match_buffer(y_, (m, n))
        for i, j in T.grid(m, n):
            with T.sblock("y"):
                v, w = T.axis.remap("SS", [i, j])
                T.reads(x[v, w])
                T.writes(y[v, w])
                y[v, w] = x[v, w] + T.float32(1)

    @T.prim_func(s_tir=True)
    def expected(x_: T.handle, y_: T.handle):
        m, n = T.int64(), T.int64()
        x = T.match_buffer(x_, (m, n))
        y = T.match_buffer(y_, (m, n))
        for i in range(m * n):
            with T.sblock("y"):
                v = T.axis.spatial(m * n, i)
                T.reads(x[T.int64(0), v])
                T.writes(y[T.int64(0), v])
                y[T.int64(0), v] = x[T.int64(0), v] + T.float32(1)

    tvm.ir.assert_structural_equal(flattened(before).body, expected.body, map_free_vars=True)


def test_axes_that_all_tensors_share_become_one():
    @T.prim_func(s_tir=True)
    def before(x_: T.handle, k_: T.handle, y_: T.handle):
        b, h, w = T.int64(), T.int64(), T.int64()
        x = T.match_buffer(x_, (b, 3, h, w))
        k = T.match_buffer(k_, (3, 1, 1))
        y = T.match_buffer(y_, (b, 3, h, w))
        for i, j, m, n in T.grid(b, T.int64(3), h, w):
            with T.sblock("y"):
                c, d, e, f = T.axis.remap("SSSS", [i, j, m, n])
                T.reads(x[c, d, e, f], k[d, T.int64(0), T.int64(0)])
                T.writes(y[c, d, e, f])
                y[c, d, e, f] = x[c, d, e, f] * k[d, T.int64(0), T.int64(0)]

    @T.prim_func(s_tir=True)
    def expected(x_: T.handle, k_: T.handle, y_: T.handle):
        b, h, w = T.int64(), T.int64(), T.int64()
        x = T.match_buffer(x_, (b, 3, h, w))
        k = T.match_buffer(k_, (3, 1, 1))
        y = T.match_buffer(y_, (b, 3, h, w))
        for i, j, m in T.grid(b, T.int64(3), h * w):
            with T.sblock("y"):
                c, d, e = T.axis.remap("SSS", [i, j, m])
                T.reads(x[c, d, T.int64(0), e], k[d, T.int64(0), T.int64(0)])
                T.writes(y[c, d, T.int64(0), e])
                y[c, d, T.int64(0), e] = x[c, d, T.int64(0), e] * k[d, T.int64(0), T.int64(0)]

    assert flattened(before) is None
    joined = with_long_rows(before)
    tvm.ir.assert_structural_equal(joined.body, expected.body, map_free_vars=True)


def test_axes_become_one_where_others_stand_behind_them_in_a_tensor_that_is_read():
    """Channels first: images are often narrower than a vector, with few rows too."""

    @T.prim_func(s_tir=True)
    def expected(x_: T.handle, y_: T.handle):
        b, h, w = T.int64(), T.int64(), T.int64()
        x = T.match_buffer(x_, (b, h, w, T.int64(3)))
        y = T.match_buffer(y_, (b, T.int64(3), h, w))
        for i, j, m in T.grid(b, T.int64(3), h * w):
            with T.sblock("T_transpose"):
                c, d, e = T.axis.remap("SSS", [i, j, m])
                T.reads(x[c, T.int64(0), e, d])
                T.writes(y[c, d, T.int64(0), e])
                y[c, d, T.int64(0), e] = x[c, T.int64(0), e, d]

    tensor = sized(*variables("bhw"), 3, name="pixels")
    joined = with_long_rows(te.create_prim_func([tensor, topi.transpose(tensor, (0, 3, 1, 2))]))
    tvm.ir.assert_structural_equal(joined.body, expected.body, map_free_vars=True)


@pytest.mark.parametrize("axes", [(0, 3, 1, 2), (3, 0, 2, 1), (3, 0, 1, 2), (1, 2, 0, 3)])
def test_transposed_elements(axes):
    b, h, w = variables("bhw")
    x = sized(b, h, w, 3)
    kernel = Symbolic([b, h, w], [x], topi.transpose(x, axes))
    kernel.check([*mixed(3, (0, 1, 2, 5, 17)), (2, 40, 90)])


def test_rows_with_a_constant_factor_have_one_width_of_vectors():
    b, t = variables("bt")
    x, row = sized(b, t, 384), sized(1, t, 384, name="row")
    done = schedule(te.create_prim_func([x, row, topi.add(x, row)]), target())
    assert done.attrs[VERSIONS] == 2  # with threads and without


def test_axes_of_which_a_tensor_has_one_are_not_joined():
    b, h, w = variables("bhw")
    x, column, row = sized(b, h, w), sized(h, 1, name="column"), sized(w, name="row")
    for other in (column, row):
        assert with_long_rows(te.create_prim_func([x, other, topi.add(x, other)])) is None


def read_elsewhere(m, n):
    x = sized(m, n)
    bias, square, wide = sized(n, name="bias"), sized(n, n), sized(m, n + 1)

    def made(shape, element, *inputs):
        return te.create_prim_func([*inputs, te.compute(shape, element, "y")])

    return {
        "index": made((m, n), lambda i, j: x[i, j] + tir.Cast("float32", i + j), x),
        "constant index": made((m, n), lambda i, j: x[i, 0], x),
        "other axes": made((n, n), lambda i, j: square[j, i], square),
        "other shape": made((m, n), lambda i, j: wide[i, j], wide),
        "broadcast": made((m, n), lambda i, j: x[i, j] + bias[j], x, bias),
        "sum": te.create_prim_func([x, topi.sum(x, 1)]),
        "no axis": te.create_prim_func([y := sized(name="s"), topi.add(y, y)]),
        "several results": te.create_prim_func([x, topi.add(x, x), topi.multiply(x, x)]),
    }


@pytest.mark.parametrize("name", read_elsewhere(*variables("mn")))
def test_other_kernels_keep_their_axes(name):
    assert flattened(read_elsewhere(*variables("mn"))[name]) is None


def written(body):
    """The elements of y that a kernel writes, y being 1 and x being 0 before."""
    done = schedule(body, target())
    y = tvm.runtime.tensor(np.ones(41, np.float32))
    done = body if done is None else done
    kernel = tvm.compile(done, target=target())["main"]
    kernel(tvm.runtime.tensor(np.zeros(41, np.float32)), y)
    return np.flatnonzero(y.numpy() == 0).tolist()


def test_guard_stays():
    @T.prim_func(s_tir=True)
    def function(x_: T.handle, y_: T.handle):
        n = T.int64()
        x = T.match_buffer(x_, (n,))
        y = T.match_buffer(y_, (n,))
        for i in range(n):
            with T.sblock("y"):
                v = T.axis.spatial(n, i)
                T.where(i < 5)
                y[v] = x[v]

    assert flattened(function) is None
    assert written(function) == list(range(5))


def test_rest_of_a_result_stays():
    @T.prim_func(s_tir=True)
    def function(x_: T.handle, y_: T.handle):
        n = T.int64()
        x = T.match_buffer(x_, (n,))
        y = T.match_buffer(y_, (n,))
        for i in range(n // T.int64(2)):
            with T.sblock("y"):
                v = T.axis.spatial(n // T.int64(2), i)
                y[v] = x[v]

    assert flattened(function) is None
    assert written(function) == list(range(20))


def test_beginning_of_a_result_stays():
    @T.prim_func(s_tir=True)
    def function(x_: T.handle, y_: T.handle):
        n = T.int64()
        x = T.match_buffer(x_, (n,))
        y = T.match_buffer(y_, (n,))
        for i in T.serial(T.int64(3), n):
            with T.sblock("y"):
                v = T.axis.spatial((T.int64(3), n), i)
                y[v] = x[v]

    assert flattened(function) is None


def test_tensor_with_strides_is_not_addressed_by_one_index():
    @T.prim_func(s_tir=True)
    def function(x_: T.handle, y_: T.handle):
        n, step = T.int64(), T.int64()
        x = T.match_buffer(x_, (n, 8), strides=(step, 1))
        y = T.match_buffer(y_, (n, 8))
        for i, j in T.grid(n, T.int64(8)):
            with T.sblock("y"):
                v, w = T.axis.remap("SS", [i, j])
                y[v, w] = x[v, w]

    assert flattened(function) is None


def gelu(x):
    return compute.elementwise(x, "gelu", "quake2")


TWO = {
    "alike": lambda x, bias: [gelu(topi.multiply(x, x))],
    "bias": lambda x, bias: [gelu(topi.add(x, bias))],
    "transposed": lambda x, bias: [topi.transpose(x)],
    "padded": lambda x, bias: [topi.nn.pad(x, [1, 2], [0, 3])],
    "joined": lambda x, bias: [topi.concatenate([x, topi.add(x, bias)], 1)],
    "flags": lambda x, bias: [topi.less(x, topi.multiply(x, x))],
    "bytes": lambda x, bias: [topi.cast(x, "int8")],
    "doubles": lambda x, bias: [topi.cast(x, "float64")],
    "own index": lambda x, bias: [
        te.compute(x.shape, lambda i, j: x[i, j] * tir.Cast("float32", i * 10 + j))
    ],
    "several": lambda x, bias: [gelu(x), topi.add(x, bias), topi.transpose(x)],
}


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("kind", ["x86-64-v2", "native"])
def test_elements(kind, name):
    m, n = variables("mn")
    x, bias = sized(m, n), sized(n, name="bias")
    inputs = [x, bias] if name in ("bias", "joined", "several") else [x]
    kernel = Symbolic([m, n], inputs, TWO[name](x, bias), kind)
    assert kernel.rule == "elementwise"
    threads = [(127, 129), (129, 127), (128, 128), (7, 3000), (8, 3000)]
    kernel.check(mixed(2, (0, *SIZES)) + threads)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_indices_of_either_width(dtype):
    extents = variables("abc", dtype)
    x = te.placeholder(extents, "float32", "x")
    kernel = Symbolic(extents, [x], gelu(x))
    kernel.check([*mixed(3, SIZES[:10]), (3, 70, 90)])


@pytest.mark.parametrize("extents", [("n", 64), ("n", 3, "n", 5), (2, 3, "n", 5), (2, 3, 4, "n")])
def test_operators_that_are_inlined_twice(extents):
    """x + tanh(x) of x + tanh(x): the inner one is in both places of the outer one."""
    n = tir.Var("n", "int64")
    shape = [n if extent == "n" else extent for extent in extents]
    factors = [*shape[:2], 1, 1][: len(shape)]
    builder = relax.BlockBuilder()
    x, k = (
        relax.Var(name, relax.TensorType(s, "float32"))
        for name, s in (("x", shape), ("k", factors))
    )
    with builder.function("main", [x, k]):
        with builder.dataflow():
            value = builder.emit(relax.op.add(x, relax.op.tanh(x)))
            value = builder.emit(relax.op.multiply(value, k))
            value = builder.emit(relax.op.add(value, relax.op.tanh(value)))
            result = builder.emit_output(value)
        builder.emit_func_output(result)
    model = quake_tvm.compile(builder.get(), method="quake5")
    random = np.random.default_rng(0)
    for size in (0, 1, 4, 33):
        given = [[size if extent is n else extent for extent in each] for each in (shape, factors)]
        x, k = (random.standard_normal(each).astype(np.float32) for each in given)
        scaled = (x + np.tanh(x, dtype=float)) * k
        (found,) = model.run([x, k])
        np.testing.assert_allclose(found, scaled + np.tanh(scaled), atol=4e-6)
