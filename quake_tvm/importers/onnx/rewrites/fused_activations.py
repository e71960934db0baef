"""The activations that ONNX Runtime's optimiser moves into products and convolutions."""

from collections.abc import Sequence

from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph

# Each activation with its parameters, in the order of ``activation_params``.
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "Clip": ("min", "max"),
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "HardSwish": (),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Tanh": (),
    "ThresholdedRelu": ("alpha",),
}


def activate(
    graph: Graph, operator: str, x: str, activation: str, parameters: Sequence[float], output: str
) -> None:
    """Emit an activation.

    Parameters
    ----------
    graph : Graph
    operator : str
        The fused operator, for the error.
    x : str
    activation : str
        An operator of the standard.
    parameters : sequence of float
        Those of the activation, in the order of its attributes.
    output : str

    Raises
    ------
    QuakeError
        For an unknown activation.
    """
    if activation not in _PARAMETERS:
        raise QuakeError(
            f"com.microsoft.{operator} with the activation {activation[:40]!r} is not supported: "
            "save the model without this fusion"
        )
    if activation == "Clip":
        low, high = (graph.constant(n, graph.dtype(x), "limit") for n in parameters)
        graph.emit("Clip", [x, low, high], output)
        return
    given = dict(zip(_PARAMETERS[activation], parameters, strict=False))
    if activation == "HardSwish":  # some versions of ONNX Runtime write HardSigmoid's parameters
        given = {}
    if activation == "ThresholdedRelu":
        threshold = graph.constant(given.get("alpha", 1.0), graph.dtype(x), "threshold")
        above = graph.emit("Cast", [graph.emit("Greater", [x, threshold])], to=TensorProto.FLOAT)
        graph.emit("Mul", [x, above], output)
        return
    graph.emit(activation, [x], output, **given)
