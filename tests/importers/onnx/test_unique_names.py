"""Branches whose values have the same names, in the importer and against ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm.importers.onnx.unique_names import with_unique_names

from .models import constant, make, node, value


def branch(nodes, output, constants=()):
    return helper.make_graph(nodes, "branch", [], [value(output)], list(constants))


def choice(then, other, condition="c", output="y"):
    return node("If", [condition], [output], then_branch=then, else_branch=other)


def power(exponent):
    """x^exponent. The importer reads the constant."""
    return branch([node("Pow", ["x", "k"], ["t"])], "t", [constant(np.array(exponent), "k")])


def whole(kind):
    """The mean of x in a type: that of integers is truncated."""
    nodes = [
        node("Cast", ["x"], ["a"], to=kind),
        node("ReduceMean", ["a"], ["b"]),
        node("Cast", ["b"], ["t"], to=TensorProto.FLOAT),
    ]
    return branch(nodes, "t")


def rows(operator, *shape):
    """A softmax as before opset 13, whose rows depend on the rank."""
    nodes = [
        node("Reshape", ["x", "s"], ["a"]),
        node("Softmax", ["a"], ["b"], axis=1),
        node(operator, ["b"], ["t"], keepdims=0),
    ]
    return branch(nodes, "t", [constant(np.array(shape), "s")])


CHOICES = {
    "constants": choice(power(2), power(3)),
    "types": choice(whole(TensorProto.INT32), whole(TensorProto.FLOAT)),
    "ranks": choice(rows("ReduceMax", 1, 4), rows("ReduceMin", 2, 2, 1)),
    "in a branch": choice(branch([choice(power(2), power(4), "d", "t")], "t"), power(3)),
}


@pytest.mark.parametrize("other", [True, False])
@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("kind", CHOICES)
def test_values_of_branches_may_have_equal_names(kind, condition, other):
    model = make([CHOICES[kind]], {"x": [4]}, {"y": None}, opset=12)
    model.graph.input.extend(value(name, [], TensorProto.BOOL) for name in "cd")
    feeds = {"x": np.float32([0.5, 1.5, 2.5, 4]), "c": np.array(condition), "d": np.array(other)}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, feeds)
    (q,) = quake_tvm.compile(model, method="exact").run(feeds)
    np.testing.assert_allclose(q, y, rtol=1e-5)


def test_each_value_has_one_name():
    model = make([CHOICES["in a branch"]], {"x": [4]}, {"y": None})
    other, then = (a.g for a in with_unique_names(model).graph.node[0].attribute)
    assert (other.output[0].name, then.output[0].name) == ("t", "t_1")
    assert list(other.node[0].input) == ["x", "k"]
    inner = [a.g for a in then.node[0].attribute]
    assert [g.initializer[0].name for g in inner] == ["k_1", "k_2"]
    assert [list(g.node[0].input) for g in inner] == [["x", "k_1"], ["x", "k_2"]]
    assert list(then.node[0].output) == ["t_1"]


def test_names_that_are_unique_stay():
    model = make([node("Exp", ["x"], ["e"]), node("Neg", ["e"], ["y"])], {"x": [4]}, {"y": None})
    before = model.SerializeToString()
    assert with_unique_names(model).SerializeToString() == before
