"""Integer products of shifted bytes become products of the bytes and terms of the zero points."""

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.passes.relax.graph import Graph, dtype
from quake_tvm.passes.relax.integer_products import IntegerProducts
from quake_tvm.tvm_version import tir
from tests.helpers import c, module, once

RNG = np.random.default_rng(0)
op, nn = relax.op, relax.op.nn


def numbers(*shape, kind="int8"):
    limits = np.iinfo(kind)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(kind)


def shifted(x, zero=None):
    x = once(op.astype(x, "int32"))
    if zero is None:
        return x
    zero = c(zero, "int32") if np.isscalar(zero) else relax.const(zero.astype(np.int32))
    return once(op.subtract(x, zero))


def of_bytes(mod):
    """The types of the operands of the products of ints in a module."""
    calls = Graph(mod["main"]).values.values()
    kinds = ("relax.matmul", "relax.nn.conv2d", "relax.nn.conv1d")
    found = [call for call in calls if getattr(getattr(call, "op", None), "name", "") in kinds]
    return {tuple(map(dtype, call.args)) for call in found}


COLUMNS = {
    "none": None,
    "one": 5,
    "each": numbers(7),
    "row": numbers(1, 7),
}


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("weights", ["int8", "uint8"])
def test_products(kind, weights):
    w, x = numbers(12, 7, kind=weights), numbers(2, 3, 12, kind=kind)

    def products(x):
        return tuple(
            op.matmul(shifted(x, zero), shifted(relax.const(w), points), out_dtype="int32")
            for zero in (None, 9)
            for points in COLUMNS.values()
        )

    mod = module(products, x.shape, dtype=kind)
    found = IntegerProducts()(mod)
    assert of_bytes(found) == {(kind, "int8")}
    compare(mod, found, x)


@pytest.mark.parametrize("shape", [(12, 7), (2, 12, 7)])
def test_products_of_a_vector(shape):
    w, x = numbers(*shape, kind="uint8"), numbers(12)

    def products(x):
        return tuple(
            op.matmul(shifted(x, zero), shifted(relax.const(w), points), out_dtype="int32")
            for zero in (None, 9)
            for points in COLUMNS.values()
        )

    mod = module(products, x.shape, dtype="int8")
    found = IntegerProducts()(mod)
    assert of_bytes(found) == {("int8", "int8")}
    compare(mod, found, x)


def compare(mod, found, *inputs):
    def results(mod):
        machine = relax.VirtualMachine(tvm.compile(mod, "llvm"), tvm.cpu())
        made = machine["main"](*map(tvm.runtime.tensor, inputs))
        return [made.numpy()] if hasattr(made, "numpy") else [y.numpy() for y in made]

    for y, wanted in zip(results(found), results(mod), strict=True):
        np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("weights", ["int8", "uint8"])
def test_convolutions(kind, weights):
    x = numbers(2, 4, 6, 5, kind=kind)
    cases = [
        (numbers(6, 4, 3, 3, kind=weights), {"padding": (1, 0, 2, 1), "strides": (2, 1)}),
        (numbers(6, 2, 2, 3, kind=weights), {"padding": 1, "groups": 2, "dilation": (1, 2)}),
        (numbers(4, 1, 3, 3, kind=weights), {"groups": 4}),
    ]

    def convolutions(x):
        return tuple(
            nn.conv2d(shifted(x, zero), shifted(relax.const(w), points), **given)
            for w, given in cases
            for zero in (None, 9)
            for points in (None, 128, 5, numbers(len(w), 1, 1, 1, kind=weights))
        )

    mod = module(convolutions, x.shape, dtype=kind)
    found = IntegerProducts()(mod)
    assert of_bytes(found) == {(kind, "int8")}
    compare(mod, found, x)


def test_a_zero_point_that_varies():
    x, w = numbers(3, 12, kind="uint8"), numbers(12, 7)

    def product(x):
        zero = once(op.astype(once(op.max(x)), "int32"))
        a = once(op.subtract(once(op.astype(x, "int32")), zero))
        return op.matmul(a, shifted(relax.const(w)), out_dtype="int32")

    mod = module(product, x.shape, dtype="uint8")
    found = IntegerProducts()(mod)
    assert of_bytes(found) == {("uint8", "int8")}
    compare(mod, found, x)


@pytest.mark.parametrize(("depth", "kinds"), [(258, "float32"), (259, "int32")])
def test_two_tensors_that_vary(depth, kinds):
    """Their sums are exact in float32 up to a depth of 258."""
    x = np.full((3, depth), 255, np.uint8)

    def product(x):
        return op.matmul(shifted(x, 0), shifted(once(op.permute_dims(x))), out_dtype="int32")

    mod = module(product, x.shape, dtype="uint8")
    found = IntegerProducts()(mod)
    assert of_bytes(found) == {(kinds, kinds)}
    compare(mod, found, x)


def test_constants_are_added_once():
    w, bias = numbers(12, 7), numbers(7).astype(np.int32)

    def before(x):
        sums = once(op.matmul(shifted(x, 9), shifted(relax.const(w)), out_dtype="int32"))
        return op.add(sums, relax.const(bias))

    def after(x):
        sums = once(op.matmul(x, relax.const(w), out_dtype="int32"))
        first = -9 * w.astype(np.int32).sum(0)
        return op.add(sums, relax.const(np.asarray(first + bias, np.int32)))

    found = IntegerProducts()(module(before, (2, 12), dtype="uint8"))
    tvm.ir.assert_structural_equal(found, module(after, (2, 12), dtype="uint8"))


def test_pads_around_a_zero_point_that_varies():
    """At the borders fewer weights are summed. Tensors of symbolic size stay."""

    def convolutions(x):
        zero = once(op.astype(once(op.max(x)), "int32"))
        a = once(op.subtract(once(op.astype(x, "int32")), zero))
        weights = [(numbers(6, 4, 3, 3), None, 1), (numbers(6, 2, 3, 3, kind="uint8"), 7, 2)]
        return tuple(
            nn.conv2d(a, shifted(relax.const(w), point), padding=(0, 1, 2, 1), groups=groups)
            for w, point, groups in weights
        )

    x = numbers(2, 4, 5, 5, kind="uint8")
    mod = module(convolutions, x.shape, dtype="uint8")
    found = IntegerProducts()(mod)
    assert of_bytes(found) == {("uint8", "int8"), ("int8", "int8")}
    compare(mod, found, x)
    symbolic = module(convolutions, (2, 4, tir.Var("h", "int64"), 5), dtype="uint8")
    tvm.ir.assert_structural_equal(IntegerProducts()(symbolic), symbolic)


ROW = numbers(12)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: op.matmul(shifted(x, ROW), shifted(relax.const(numbers(12, 7)))),
        lambda x: op.matmul(shifted(x), shifted(relax.const(numbers(12, 7)), ROW.reshape(12, 1))),
        lambda x: op.matmul(shifted(x), shifted(relax.const(ROW))),
        lambda x: op.matmul(shifted(x, 300), once(op.permute_dims(shifted(x)))),
        lambda x: nn.conv1d(
            once(op.reshape(shifted(x, ROW), (1, 3, 12))), shifted(relax.const(numbers(2, 3, 3)))
        ),
    ],
)
def test_others_stay(formula):
    """Zero points along the summed axis, a vector, a zero point that is no byte."""
    mod = module(formula, (3, 12), dtype="uint8")
    tvm.ir.assert_structural_equal(IntegerProducts()(mod), mod)


def test_pads_of_what_is_no_byte():
    x, w = numbers(1, 2, 4, 4, kind="uint8"), numbers(3, 2, 3, 3)
    mod = module(
        lambda x: nn.conv2d(shifted(x, 300), shifted(relax.const(w)), padding=1),
        x.shape,
        dtype="uint8",
    )
    compare(mod, IntegerProducts()(mod), x)


def test_zero_points_of_input_channels_stay():
    def formula(x):
        return nn.conv2d(shifted(x, numbers(4, 1, 1)), shifted(relax.const(numbers(6, 4, 3, 3))))

    def weights(x):
        w = shifted(relax.const(numbers(6, 4, 3, 3)), numbers(1, 4, 1, 1))
        return nn.conv2d(shifted(x), w)

    for each in (formula, weights):
        mod = module(each, (1, 4, 5, 5), dtype="uint8")
        tvm.ir.assert_structural_equal(IntegerProducts()(mod), mod)
