"""The allowed outputs of a graph: ONNX Runtime's, with the effect of rounding and of rungs.

The same graph is run many times with noise. Every operand of an operator that rounds is multiplied
by 1 + e, with a random e for every element that is far larger than a rounding error. Every result
of an exponential is multiplied by 1 + e with an e as large as the rung's bound. The spread of the
outputs is the allowed error. An output of integers or truth values that varies is not compared, nor
an element that is sometimes NaN or infinite. So an ill-conditioned graph gives no false alarm, and
operators that only move or compare values must agree to the last bit if nothing rounds before them.

Where ONNX Runtime itself differs from the standard, :mod:`exceptions` changes the graph.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm.numerics.operators import OPERATORS

from .exceptions import corrected
from .graph import session
from .writer import FLOATS, Writer, opset_of, types_of

# The noise on operands, in units of their type's spacing at 1: more than a few roundings give.
SPACINGS = 8
# The allowed distance from the observed outputs, in units of their spread.
MARGIN = 4
# Operators with exact results, which need no noise.
EXACT = {
    "Abs", "ArgMax", "ArgMin", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
    "And", "Cast", "CastLike", "Ceil", "Clip", "Compress", "Concat", "ConcatFromSequence",
    "Constant", "ConstantOfShape", "DepthToSpace", "Dropout", "Equal", "Expand", "EyeLike",
    "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "GlobalMaxPool", "Greater",
    "GreaterOrEqual", "Hardmax", "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual", "Max",
    "MaxPool", "MaxRoiPool", "MaxUnpool", "Min", "Mod", "Neg", "NonMaxSuppression", "NonZero",
    "Not", "OneHot", "Optional", "OptionalGetElement", "OptionalHasElement", "Or", "Pad", "Range",
    "ReduceMax", "ReduceMin", "Relu", "Reshape", "Round", "ScatterElements", "Scatter", "ScatterND",
    "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert",
    "SequenceLength", "Shape", "Sign", "Size", "Slice", "SpaceToDepth", "Split", "SplitToSequence",
    "Squeeze", "ThresholdedRelu", "Tile", "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze",
    "Where", "Xor",
}  # fmt: skip
# With a reduction, scatters add or multiply, so they round.
WITH_REDUCTION = {"ScatterElements", "ScatterND"}
# Operands that are options and get no noise: operator to the first such operand.
OPTIONS_FROM = {
    "Pow": 1, "Resize": 1, "Upsample": 1, "CumSum": 1, "ReduceSum": 1, "QuantizeLinear": 1,
    "AffineGrid": 1, "RoiAlign": 2, "GridSample": 2, "DynamicQuantizeLinear": 1,
}  # fmt: skip
# Operators that may be lowered, or that contain such an operator.
EXPONENTIAL = {
    "Exp", "Sigmoid", "Tanh", "Erf", "Softplus", "Mish", "Swish", "Gelu", "FastGelu", "BiasGelu",
    "Elu", "Selu", "Celu", "Softmax", "LogSoftmax", "ReduceLogSumExp", "Attention", "If",
}  # fmt: skip
# Operators with a cancellation inside: rounding at 1 or at the operand is visible in the result.
CANCELLING = {
    "Gelu", "FastGelu", "BiasGelu", "Mish", "Softplus", "LogSoftmax", "ReduceLogSumExp", "Elu",
    "Selu", "Celu", "Sinh", "Asinh", "Atanh", "Acosh", "Acos", "Erf",
}  # fmt: skip
# Operators that compute positions: rounding errors of a position count times the difference of
# neighbours.
SAMPLING = {"Resize", "Upsample", "GridSample", "RoiAlign"}
# Operators with an absolute error of the rung's bound, such as logarithms.
LOGARITHMIC = {"LogSoftmax", "ReduceLogSumExp", "Attention", "Log"}
# A chain of these after an exponential may be lowered as one operator.
CHAIN = {
    "Abs", "Add", "Cast", "Clip", "Div", "Log", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal",
    "Sub", "Where",
}  # fmt: skip
ENDS = {"Div", "Log", "Mul", "Reciprocal", "Sub", "Where"}


class Judge:
    """Runs a graph in ONNX Runtime, with and without noise.

    Parameters
    ----------
    model : onnx.ModelProto
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        model = corrected(model)
        self._plain = session(model)
        noisy, self._scalars = with_noise(model)
        self._noisy = session(noisy)

    def outputs(
        self, feeds: Mapping[str, np.ndarray], rung: str, runs: int
    ) -> list[list[np.ndarray]]:
        """The outputs without noise, followed by those of ``runs`` runs with noise.

        ``rung`` is ``"exact"`` or the rung whose largest bound is the noise on exponentials.
        """
        random = np.random.default_rng(runs)
        seen = [self._plain.run(None, feeds)]
        size = rung_error(rung)
        for k in range(runs):
            # Some runs have no noise either: results that the standard leaves open are random in
            # each run.
            still = k % 4 == 3
            scalars = dict.fromkeys(self._scalars, 0.0) | {"noise": float(not still)}
            if size and not still:  # one factor for a whole tensor, and one for each element
                for name in self._scalars[1:]:
                    whole = name.endswith("_whole")
                    scalars[name] = size * (random.uniform(-1, 1) if whole else k % 2)
            given = {name: np.array(value, np.float32) for name, value in scalars.items()}
            seen.append(self._noisy.run(None, {**feeds, **given}))
        return seen


def rung_error(rung: str) -> float:
    """The largest bound of a rung; 0 for ``"exact"``."""
    if rung == "exact":
        return 0.0
    return max(quake_tvm.bound(name, rung).error for name in OPERATORS)


def with_noise(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The model with noise, and its new scalar inputs, which give the amount of noise.

    The inputs are "noise", the unit of noise on operands, and two for each exponential.
    """
    graph = model.graph
    types = types_of(model)
    writer = _Noise(opset_of(model), types, "noise")
    writer.scalars = ["noise"]
    exact = {v.name for v in (*graph.input, *graph.initializer)}
    chain: set[str] = set()
    for node in graph.node:
        passes = node.op_type in EXACT and not (
            node.op_type in WITH_REDUCTION and any(a.name == "reduction" for a in node.attribute)
        )
        operands = list(node.input)
        fixed = OPTIONS_FROM.get(node.op_type, len(operands))
        for k, name in enumerate(operands[:fixed]):
            if types.get(name) in FLOATS and not (passes and name in exact):
                operands[k] = writer.operand(name)
        first = next((i for i in node.input if i), "")
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = operands
        exponential = node.op_type in EXPONENTIAL or (
            node.op_type == "Pow" and first in {c.name for c in graph.initializer}
        )
        behind = node.op_type in CHAIN and not chain.isdisjoint(node.input)
        lowered = exponential or (behind and node.op_type in ENDS)
        if exponential or behind:
            chain |= set(node.output)
        if (lowered or node.op_type in CANCELLING | SAMPLING) and types.get(
            node.output[0]
        ) in FLOATS:
            copy.output[0] += "_clean"
            writer.nodes.append(copy)
            writer.result(node, copy.output[0], lowered)
        else:
            writer.nodes.append(copy)
        if passes and all(i in exact for i in node.input if i):
            exact |= set(node.output)
    renamed = {
        output.name: writer.operand(output.name)
        for output in graph.output
        if output.name not in exact and types.get(output.name) in FLOATS
    }
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.value_info[:]
    result.graph.node.extend(writer.nodes)
    for output in result.graph.output:
        output.name = renamed.get(output.name, output.name)
    result.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ()) for name in writer.scalars
    )
    return result, writer.scalars


class _Noise(Writer):
    """Nodes that make and apply noise."""

    scalars: list[str]

    def _times(self, value: str, error: str, kind: int) -> str:
        """value * (1 + error), where an infinity stays as it is."""
        return self.do("Mul", value, self.do("Add", error, self.value(1, kind)))

    def _rounding(self, like: str, kind: int) -> str:
        """The combined error of roundings, for each element."""
        size = SPACINGS * np.finfo(FLOATS[kind]).eps
        if kind == TensorProto.DOUBLE:  # few functions are exact in its last bits
            size *= 1024
        unit = self.do("Mul", self.do("Cast", "noise", to=kind), self.value(size, kind))
        return self.do("Mul", self.random(like, kind), unit)

    def operand(self, name: str) -> str:
        """The operand with its own noise."""
        kind = self.types[name]
        return self._times(name, self._rounding(name, kind), kind)

    def result(self, node: onnx.NodeProto, clean: str, lowered: bool) -> None:
        """Write the node's result with the rung's noise and with the noise of cancellations."""
        kind = self.types[node.output[0]]
        value = clean
        if lowered:
            alone, whole = f"{clean}_alone", f"{clean}_whole"
            self.scalars += [alone, whole]
            each = self.do("Mul", self.random(clean, kind), self.do("Cast", alone, to=kind))
            error = self.do("Add", each, self.do("Cast", whole, to=kind))
            absolute = node.op_type in LOGARITHMIC
            value = self.do("Add", value, error) if absolute else self._times(value, error, kind)
        if node.op_type in CANCELLING | SAMPLING:
            rounding = self._rounding(clean, kind)
            if node.op_type in SAMPLING:
                largest = self.do("ReduceMax", self.do("Abs", node.input[0]), keepdims=0)
                rounding = self.do("Mul", rounding, largest)
            value = self.do("Add", value, rounding)
        self.do("Identity", value, output=node.output[0])
