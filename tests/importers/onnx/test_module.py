"""The import of whole ONNX models, and what is refused and how."""

from itertools import pairwise

import numpy as np
import onnx
import pytest

import quake_tvm
from quake_tvm import QuakeError

from .models import (
    INT64,
    compare,
    constant,
    exp,
    make,
    node,
    operators,
    ramp,
    two_inputs,
    value,
)


def test_an_output_needs_no_type(tmp_path):
    model = exp([2, 3])
    model.graph.output[0].ClearField("type")
    onnx.save(model, tmp_path / "model.onnx")
    assert quake_tvm.compile(tmp_path / "model.onnx").run(ramp(2, 3))[0].shape == (2, 3)


@pytest.mark.parametrize("op", ["Celu", "PRelu"])
def test_scalars_stay_scalars(op):
    inputs = ["x", "slope"] if op == "PRelu" else ["x"]
    slope = [constant(np.float32(0.25), "slope")]
    compare(make([node(op, inputs, ["y"])], {"x": []}, {"y": None}, slope), np.array(-0.5, "f4"))


def test_initializers_may_be_inputs_too():
    model = make(
        [node("Add", ["x", "b"], ["s"]), node("Exp", ["s"], ["y"])],
        {"x": [2, 3], "b": [3]},
        {"y": None},
        [constant(ramp(3), "b")],
    )
    compiled = quake_tvm.compile(model, method="exact")
    assert [i.name for i in compiled.inputs] == ["x"]
    np.testing.assert_allclose(compiled.run(ramp(2, 3))[0], np.exp(ramp(2, 3) + ramp(3)), 1e-6)


@pytest.mark.parametrize(
    ("operator", "field", "attributes"),
    [
        ("ReduceSum", "i", {"keepdims": 0}),
        ("Softmax", "i", {"axis": 0}),
        ("HardSigmoid", "f", {"beta": 0.0}),
    ],
)
def test_writers_may_leave_out_what_is_zero(operator, field, attributes):
    """The third version of the format's language has no other way to write a 0."""
    model = make([node(operator, ["x"], ["y"], **attributes)], {"x": [2, 3]}, {"y": None})
    (attribute,) = model.graph.node[0].attribute
    attribute.ClearField(field)
    compare(model, ramp(2, 3))


def test_lists_may_be_empty():
    turned = node("Transpose", ["x"], ["y"])
    turned.attribute.add(name="perm", type=onnx.AttributeProto.INTS)
    compare(make([turned], {"x": []}, {"y": None}), np.array(2, np.float32))


def test_sums_are_additions():
    model = make([node("Sum", ["x", "x", "c", "x"], ["y"])], {"x": [2, 3]}, {"y": None},
                 [constant(ramp(3), "c")])  # fmt: skip
    assert operators(model) == ["relax.add"] * 3
    compare(model, ramp(2, 3))


def test_the_standards_domain_has_two_names():
    model = make([node("Celu", ["x"], ["y"], domain="ai.onnx")], {"x": [5]}, {"y": None})
    model.opset_import[0].domain = "ai.onnx"
    assert len(quake_tvm.compile(model).report.sites) == 1


def test_the_model_given_stays_as_it_is():
    model = two_inputs()
    before = model.SerializeToString(deterministic=True)
    quake_tvm.compile(model, shapes={"x": (3, 4)})
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (node("Det", ["x"], ["y"]), "Det"),
        (node("Exp", ["x"], ["y"], domain="acme"), "acme.Exp"),
        (node("FFT", ["x"], ["y"], domain="acme"), "acme.FFT"),
    ],
    ids=["standard", "known_name", "unknown_name"],
)
def test_operators_tvm_cannot_import(made, named, capsys):
    model = make([made], {"x": [3, 3]}, {"y": None}, domains=["acme"])
    with pytest.raises(QuakeError, match=f"cannot import these ONNX operators: {named};"):
        quake_tvm.compile(model)
    assert capsys.readouterr().out == ""


def test_operators_that_lack_are_named_with_their_nodes():
    names = ["x", "d0", "d1", "d2", "d3"]
    made = [node("Det", [a], [b]) for a, b in pairwise(names)]
    made[0].name = "first"
    model = make([*made, node("FFT", ["d3"], ["y"], domain="acme")], {"x": [3, 3]}, {"y": None})
    message = (
        "operators: Det, acme.FFT; replace node 'first', the node of 'd1', the node of 'd2' and 2 "
        "more in the model, or import it yourself"
    )
    with pytest.raises(QuakeError, match=message):
        quake_tvm.compile(model)


def test_what_the_importer_raises_is_one_line(capsys):
    nodes = [node("ReduceSum", ["x", "axes"], ["y"])]
    model = make(nodes, {"x": [2, 3]}, {"y": [None, None]})
    model.graph.input.append(value("axes", [1], INT64))
    with pytest.raises(
        QuakeError, match=r"^TVM cannot take ReduceSum \(node 'y'\): [^\n]*; replace [^\n]*$"
    ):
        quake_tvm.compile(model)
    assert capsys.readouterr().out == ""
