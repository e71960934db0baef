"""ONNX models in Relay: each nonlinearity is found in the form that the importer gives it."""

import numpy as np
import onnx
import pytest
from tvm import relay

from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.passes.graph import Site
from quake_tvm.passes.quake import find_sites
from quake_tvm.passes.relay.graph import Graph
from tests.onnx_models import model, node, random


def sites(onnx_model: onnx.ModelProto) -> list[Site]:
    mod, params = relay.frontend.from_onnx(onnx_model)
    mod["main"] = relay.build_module.bind_params_by_name(mod["main"], params)
    return find_sites(Graph(relay.transform.InferType()(mod)["main"]))


def of_node(operator: str, shape: tuple = (2, 3, 4), opset: int = 13, **attributes) -> list[tuple]:
    """(operator, attributes) of the sites in a model of one node."""
    nodes = [node(operator, "x", "y", **attributes)]
    return [(s.operator, s.attributes) for s in sites(model(nodes, {"x": shape}, opset=opset))]


@pytest.mark.parametrize("shape", [(2, 3, 4), ("n", 3, 4)], ids=["static", "dynamic"])
@pytest.mark.parametrize(
    ("name", "attributes", "operator", "parameters"),
    [
        ("Exp", {}, "exp", {}),
        ("Sigmoid", {}, "sigmoid", {}),
        ("Tanh", {}, "tanh", {}),
        ("Erf", {}, "erf", {}),
        ("Elu", {}, "elu", {"alpha": 1.0}),
        ("Elu", {"alpha": 0.5}, "elu", {"alpha": 0.5}),
        ("Selu", {}, "selu", dict(OPERATORS["selu"].parameters)),
        ("Celu", {}, "elu", {"alpha": 1.0}),
        ("Celu", {"alpha": 2.0}, "celu", {"alpha": 2.0}),
        ("Softplus", {}, "softplus", {"beta": 1.0}),
        ("Gelu", {"domain": "com.microsoft"}, "gelu", {}),
        ("FastGelu", {"domain": "com.microsoft"}, "gelu_tanh", {}),
    ],
)
def test_elementwise(name, attributes, operator, parameters, shape) -> None:
    assert of_node(name, shape, **attributes) == [(operator, pytest.approx(parameters))]


@pytest.mark.parametrize(("name", "opset"), [("Gelu", 20), ("Mish", 18)])
def test_elementwise_of_later_opsets(name: str, opset: int) -> None:
    assert of_node(name, opset=opset) == [(name.lower(), {})]


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize(
    ("name", "operator"), [("Softmax", "softmax"), ("LogSoftmax", "log_softmax")]
)
def test_softmax(name: str, operator: str, axis: int, opset: int) -> None:
    assert of_node(name, opset=opset, axis=axis) == [(operator, {"axis": axis % 3})]


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_logsumexp(axis: int, keepdims: int) -> None:
    found = of_node("ReduceLogSumExp", axes=[axis], keepdims=keepdims)
    assert found == [("logsumexp", {"axis": axis, "keepdims": True})]


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("ThresholdedRelu", {}),
        ("HardSigmoid", {}),
        ("HardSwish", {"opset": 14}),
        ("Softsign", {}),
        ("LeakyRelu", {}),
        ("Sinh", {}),
        ("ReduceSum", {}),
        ("Hardmax", {}),
    ],
)
def test_what_is_none(name: str, attributes: dict) -> None:
    assert of_node(name, **attributes) == []


@pytest.mark.parametrize(
    ("nodes", "operator"),
    [
        pytest.param([node("Sigmoid", "x", "gate"), node("Mul", "x gate", "y")], "silu", id="silu"),
        pytest.param(
            [node("Mul", "x k", "z"), node("Sigmoid", "z", "gate"), node("Mul", "x gate", "y")],
            "gelu_quick",
            id="gelu_quick",
        ),
        pytest.param(
            [node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t", "y")],
            "mish",
            id="mish",
        ),
    ],
)
def test_several_nodes(nodes: list[onnx.NodeProto], operator: str) -> None:
    (site,) = sites(model(nodes, {"x": (2, 3)}, {"k": np.float32(1.702)}))
    assert site.operator == operator


@pytest.mark.parametrize(
    ("name", "gates", "sigmoids", "tanhs"), [("LSTM", 4, 3, 2), ("GRU", 3, 2, 1)]
)
def test_recurrent(name: str, gates: int, sigmoids: int, tanhs: int) -> None:
    hidden, steps = 5, 2
    weights = {
        "w": random(1, gates * hidden, 4),
        "r": random(1, gates * hidden, hidden),
        "b": random(1, 2 * gates * hidden),
    }
    nodes = [node(name, "x w r b", "y", hidden_size=hidden)]
    found = [s.operator for s in sites(model(nodes, {"x": (steps, 3, 4)}, weights, opset=14))]
    assert sorted(found) == ["sigmoid"] * sigmoids * steps + ["tanh"] * tanhs * steps
