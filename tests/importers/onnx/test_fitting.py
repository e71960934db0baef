"""Operands whose sizes do not fit each other are refused by their shapes."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm import QuakeError

from .models import constant, make, node, value


@pytest.mark.parametrize(
    ("operator", "attributes", "shapes"),
    [
        ("MatMul", {}, [("b", 4), (5, 3)]),
        ("MatMul", {}, [(2, 3, 4), (3, 4, 5)]),
        ("MatMul", {}, [(2, 4), (5,)]),
        ("Gemm", {}, [(2, 4), (5, 3)]),
        ("Gemm", {"transB": 1}, [(2, 4), (3, 5)]),
        ("Add", {}, [(2, 4), (5,)]),
        ("Concat", {"axis": 0}, [(2, 4), (3, 5)]),
        ("Conv", {}, [(1, 3, 8, 8), (4, 5, 3, 3)]),
        ("Conv", {"group": 2}, [(1, 4, 8, 8), (4, 4, 3, 3)]),
    ],
)
def test_unfit_operands_are_named_by_their_shapes(operator, attributes, shapes):
    inputs = {f"x{k}": shape for k, shape in enumerate(shapes)}
    model = make([node(operator, list(inputs), ["y"], **attributes)], inputs, {"y": None})
    texts = (f"({', '.join(map(str, shape))})" for shape in shapes)
    with pytest.raises(QuakeError) as refused:
        quake_tvm.compile(model)
    said = f"{operator}: operands of {' and '.join(texts)} do not fit (node 'y')"
    assert str(refused.value).replace(",)", ")") == said.replace(",)", ")")


def test_a_product_that_does_not_fit_in_a_branch():
    weights = constant(np.ones((5, 3), np.float32), "w")
    branches = {
        "then_branch": make([node("MatMul", ["x", "w"], ["a"])], {}, {"a": None}, [weights]).graph,
        "else_branch": make([node("Identity", ["x"], ["b"])], {}, {"b": None}).graph,
    }
    model = make([node("If", ["c"], ["y"], **branches)], {"x": (2, 4)}, {"y": None})
    model.graph.input.append(value("c", [], 9))
    compiled = quake_tvm.compile(model)
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(compiled.run({"x": x, "c": np.array(False)})[0], x)
    with pytest.raises(QuakeError, match=r"the branch .* MatMul: operands of \(2, 4\) and \(5, 3"):
        compiled.run({"x": x, "c": np.array(True)})


def pyramid():
    """An image at half and at a quarter of its size, the smaller one enlarged and added."""
    rng = np.random.default_rng(0)
    kernels = [
        constant(rng.normal(size=(8, n, 3, 3)).astype(np.float32) / 6, name)
        for n, name in ((4, "v"), (8, "w"))
    ]
    window = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["x", "v"], ["half"], **window),
        node("Conv", ["half", "w"], ["quarter"], **window),
        node("Resize", ["quarter", "", "two"], ["wide"], mode="nearest"),
        node("Add", ["half", "wide"], ["sum"]),
        node("Conv", ["sum", "w"], ["y"]),
    ]
    twice = constant(np.float32([1, 1, 2, 2]), "two")
    return make(nodes, {"x": (1, 4, "h", "w_")}, {"y": None}, [*kernels, twice])


def test_images_that_are_checked_to_fit_keep_channels_last():
    compiled = quake_tvm.compile(pyramid())
    for shape in ((1, 4, 8, 12), (1, 4, 23, 31)):
        x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        (static,) = quake_tvm.compile(pyramid(), shapes={"x": shape}).run({"x": x})
        np.testing.assert_array_equal(compiled.run({"x": x})[0], static)
    with pytest.raises(QuakeError, match="the sizes of the operands differ"):
        compiled.run({"x": np.ones((1, 4, 9, 12), np.float32)})
    # One of the input, and one of the result.
    assert sum("transpose" in name for name in compiled.report.kernels) == 2
