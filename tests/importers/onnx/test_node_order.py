"""Nodes that are written in another order than they are computed in."""

import onnx
import pytest
from onnx import helper

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx.node_order import in_order

from .models import compare, kinds, make, node, ramp, value

CHAIN = [node("Exp", ["x"], ["a"]), node("Tanh", ["a"], ["b"]), node("Neg", ["b"], ["y"])]


def chain(*order):
    return make([CHAIN[k] for k in order], {"x": [2, 3]}, {"y": None})


def nested():
    """A branch that reads a value of the outer graph, which is computed after it."""
    branches = {
        name: helper.make_graph([node(op, ["b"], [name])], name, [], [value(name)])
        for name, op in (("then_branch", "Neg"), ("else_branch", "Exp"))
    }
    cond = node(
        "Constant", [], ["c"], value=helper.make_tensor("c", onnx.TensorProto.BOOL, [], [1])
    )
    nodes = [node("If", ["c"], ["y"], **branches), cond, node("Tanh", ["x"], ["b"])]
    return make(nodes, {"x": [2, 3]}, {"y": None})


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0, 2), (0, 2, 1)], ids=str)
def test_any_order(order):
    assert kinds(in_order(chain(*order))) == ["Exp", "Tanh", "Neg"]
    assert kinds(chain(*order)) != ["Exp", "Tanh", "Neg"]


def test_an_ordered_model_is_not_copied():
    model = chain(0, 1, 2)
    assert in_order(model) is model


def test_a_branch_waits_for_what_it_reads():
    assert kinds(in_order(nested())) == ["Constant", "Tanh", "If"]


def test_nodes_of_a_branch():
    branches = {
        name: helper.make_graph(nodes, name, [], [value(name)])
        for name, nodes in (
            ("then_branch", [node("Neg", ["q"], ["then_branch"]), node("Exp", ["x"], ["q"])]),
            ("else_branch", [node("Exp", ["x"], ["else_branch"])]),
        )
    }
    ordered = in_order(
        make([node("If", ["c"], ["y"], **branches)], {"x": [2], "c": []}, {"y": None})
    )
    (branch,) = (a.g for a in ordered.graph.node[0].attribute if a.name == "then_branch")
    assert [n.op_type for n in branch.node] == ["Exp", "Neg"]


def test_such_models_compile(tmp_path):
    onnx.save(chain(2, 1, 0), tmp_path / "model.onnx")
    x = ramp(2, 3)
    expected = compare(chain(0, 1, 2), x).run([x])[0]
    for model in (chain(2, 1, 0), tmp_path / "model.onnx"):
        assert (quake_tvm.compile(model, method="exact").run([x])[0] == expected).all()


def test_a_cycle_is_refused(tmp_path):
    nodes = [node("Add", ["x", "b"], ["a"]), node("Exp", ["a"], ["b"]), node("Neg", ["b"], ["y"])]
    model = make(nodes, {"x": [2]}, {"y": None})
    assert kinds(in_order(model)) == ["Add", "Exp", "Neg"]
    with pytest.raises(QuakeError, match=r"no node before gives 'b': .*'a'"):
        quake_tvm.compile(model)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(QuakeError, match=r"topologically sorted.* OpType: Add is not output"):
        quake_tvm.compile(tmp_path / "model.onnx")
