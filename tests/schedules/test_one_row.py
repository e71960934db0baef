"""Products over pixels as products over one row of pixels, where nothing but the rows is lost."""

import pytest
import tvm
from tvm import te, topi
from tvm.script import tirx as T

from quake_tvm.passes.relax.pack_weights import packed_matmul
from quake_tvm.schedules.one_row import OneRow
from quake_tvm.schedules.versions import VERSIONS
from tests.schedules.symbolic import Symbolic, sized, variables

b, h, w = variables("bhw")


def product(x, k):
    """x times a matrix, over all but the last axis of x."""
    j = te.reduce_axis((0, x.shape[-1]), "j")
    shape = (*x.shape[:-1], k.shape[-1])
    return te.compute(shape, lambda *i: te.sum(x(*i[:-1], j) * k(j, i[-1]), j), "p")


def test_pixels_become_one_row():
    @T.prim_func(s_tir=True)
    def before(x_: T.handle, k: T.Buffer((8, 16), "float32"), y_: T.handle):
        m, n = T.int64(), T.int64()
        x = T.match_buffer(x_, (m, n, 8))
        y = T.match_buffer(y_, (m, n, 16))
        for i, j, o, d in T.grid(m, n, 16, 8):
            with T.sblock("y"):
                u, v, c, r = T.axis.remap("SSSR", [i, j, o, d])
                T.reads(x[u, v, r], k[r, c])
                T.writes(y[u, v, c])
                with T.init():
                    y[u, v, c] = T.float32(0)
                y[u, v, c] = y[u, v, c] + x[u, v, r] * k[r, c]

    @T.prim_func(s_tir=True)
    def expected(x_: T.handle, k: T.Buffer((8, 16), "float32"), y_: T.handle):
        n = T.int64()
        x = T.match_buffer(x_, (T.int64(1), n, 8))
        y = T.match_buffer(y_, (T.int64(1), n, 16))
        for i, j, o, d in T.grid(T.int64(1), n, 16, 8):
            with T.sblock("y"):
                u = T.axis.spatial(T.int64(1), i)
                v = T.axis.spatial(n, j)
                c, r = T.axis.remap("SR", [o, d])
                T.reads(x[u, v, r], k[r, c])
                T.writes(y[u, v, c])
                with T.init():
                    y[u, v, c] = T.float32(0)
                y[u, v, c] = y[u, v, c] + x[u, v, r] * k[r, c]

    found = OneRow.of(before)
    tvm.ir.assert_structural_equal(found.function.body, expected.body, map_free_vars=True)
    back = found.over_images(found.function)
    assert [list(p.ty.shape) for p in back.params] == [list(p.ty.shape) for p in before.params]


def with_rows():
    """Kernels in which the rows of pixels matter."""
    x, k = sized(b, h, w, 5), sized(5, 16, name="k")
    y = product(x, k)
    few, scale = sized(h, w, name="few"), sized(b, 1, 1, 16, name="scale")
    wide, narrow = sized(b, h, w + 2, 5, name="wide"), sized(b, h, 7, 5, name="narrow")
    one = sized(w, 5, name="one")
    return {
        "scale of an image": [x, k, scale, topi.multiply(y, scale)],
        "value of a pixel": [
            x, k, few, te.compute(y.shape, lambda n, i, j, c: y[n, i, j, c] * few[i, j])
        ],
        "transposed": [x, k, topi.transpose(y, [0, 2, 1, 3])],
        "padded": [x, k, topi.nn.pad(y, [0, 0, 1, 0])],
        "cut": [wide, k, product(te.compute(x.shape, lambda n, i, j, c: wide[n, i, j + 1, c]), k)],
        "constant width": [narrow, k, product(narrow, k)],
        "a matrix": [one, k, product(one, k)],
        "no product": [x, topi.add(x, x)],
    }  # fmt: skip


@pytest.mark.parametrize("name", with_rows())
def test_other_kernels_keep_their_rows(name):
    assert OneRow.of(te.create_prim_func(with_rows()[name])) is None


@pytest.mark.parametrize("kind", ["x86-64-v3", "native"])
def test_products_over_pixels(kind):
    x, k = sized(b, h, w, 5), sized(3, 5, 16, name="k")
    bias, other = sized(48, name="bias"), sized(b, h, w, 48, name="other")
    y = topi.add(topi.add(packed_matmul(x, k, columns=48), bias), other)
    kernel = Symbolic([b, h, w], [x, k, bias, other], y, kind)
    assert kernel.rule == "matmul"
    assert int(kernel.scheduled.attrs[VERSIONS]) == 3
    kernel.check([(0, 3, 3), (1, 0, 5), (1, 1, 1), (1, 2, 3), (3, 1, 5), (2, 3, 7), (5, 13, 1)])


def test_products_over_tokens():
    x, k = sized(b, w, 5), sized(5, 40, name="k")
    kernel = Symbolic([b, w], [x, k], product(x, k))
    assert kernel.rule == "matmul"
    kernel.check([(0, 3), (1, 1), (1, 7), (3, 5), (4, 37), (2, 64)])
