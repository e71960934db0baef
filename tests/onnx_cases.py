"""Nodes with everything set that is honoured, for tests/test_onnx_operators.py.

A case is a node: arrays are inputs, ``K`` makes one an initializer, None leaves it out. Every
attribute, optional input and further output that quake_tvm.onnx_operators honours is set to
something that shows.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quake_tvm.onnx_operators import forms

RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class K:
    """A constant."""

    value: np.ndarray


@dataclass(frozen=True)
class Case:
    """A node to try."""

    operator: str
    inputs: tuple
    attributes: dict = field(default_factory=dict)
    outputs: int = 1
    # As many of the outputs are read.
    read: int | None = None
    domain: str = ""
    since: int = 7
    until: int = 99
    rtol: float = 2e-5

    def node(self, prefix: str = "") -> onnx.NodeProto:
        """The node, its values' names after a prefix."""
        inputs = [f"{prefix}x{k}" if i is not None else "" for k, i in enumerate(self.inputs)]
        while inputs and not inputs[-1]:
            inputs.pop()
        outputs = [f"{prefix}y{k}" for k in range(self.outputs)]
        return helper.make_node(
            self.operator, inputs, outputs, domain=self.domain, **self.attributes
        )

    def named(self) -> set[str]:
        """The attributes, optional inputs and further outputs that this tries, in any form."""
        names = set(self.attributes)
        for form in forms(self.operator):
            given = [i for i, x in zip(form.inputs, self.inputs, strict=False) if x is not None]
            names |= {i.name for i in given}
            names |= {o.name for o in form.outputs[1 : self.outputs]}
        return names

    def opsets(self) -> list[int]:
        """An opset of each form that the case fits: the newest of those that differ in types."""
        found: dict[str, int] = {}
        for form in forms(self.operator):
            if self.fits(form):
                names = [*form.attributes, *((i.name, i.option) for i in form.inputs)]
                found[str(names)] = max(form.since_version, self.since)
        return list(found.values())

    def fits(self, form: onnx.defs.OpSchema) -> bool:
        """Whether the form has all that the case sets."""
        given = list(self.inputs)
        required = [a.name for a in form.attributes.values() if a.required]
        return (
            max(form.since_version, 7) <= self.until
            and form.min_input <= len(given) <= form.max_input
            and self.outputs <= form.max_output
            and self.outputs >= form.min_output
            and set(self.attributes) <= set(form.attributes)
            and set(required) <= set(self.attributes)
            and form.since_version >= self.since_form()
        )

    def since_form(self) -> int:
        """The form in effect at the first opset that the case is for."""
        older = [f.since_version for f in forms(self.operator) if f.since_version <= self.since]
        return max(older, default=0)

    def add(self, graph: onnx.GraphProto, prefix: str) -> dict[str, np.ndarray]:
        """Put the node into a graph; returns its inputs."""
        feeds = {}
        for k, given in enumerate(self.inputs):
            name = f"{prefix}x{k}"
            if isinstance(given, K):
                graph.initializer.append(numpy_helper.from_array(given.value, name))
            elif given is not None:
                dtype = helper.np_dtype_to_tensor_dtype(given.dtype)
                graph.input.append(helper.make_tensor_value_info(name, dtype, given.shape))
                feeds[name] = given
        node = self.node(prefix)
        graph.node.append(node)
        graph.output.extend(onnx.ValueInfoProto(name=o) for o in node.output[: self.read])
        return feeds


def model_of(cases: list[Case], opset: int) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """One model of all cases, and its inputs."""
    graph, feeds = onnx.GraphProto(name="cases"), {}
    for k, case in enumerate(cases):
        feeds |= case.add(graph, f"c{k}_")
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), feeds


def c(operator: str, *inputs: object, **attributes: object) -> Case:
    """A case: what is no field of it is an attribute."""
    fields = ("outputs", "read", "domain", "since", "until", "rtol")
    options = {name: attributes.pop(name) for name in fields if name in attributes}
    return Case(operator, inputs, attributes, **options)


def f(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Normal numbers."""
    return np.asarray(RNG.normal(size=shape)).astype(dtype)


def i(*shape: int, low: int = -9, high: int = 10, dtype: str = "int64") -> np.ndarray:
    """Integers."""
    return RNG.integers(low, high, shape).astype(dtype)


def a(*values: object, dtype: str = "int64") -> np.ndarray:
    """A vector."""
    return np.array(values, dtype)


def k(*values: object, dtype: str = "int64") -> K:
    """A constant vector."""
    return K(np.array(values, dtype))


def s(value: object, dtype: str = "float32") -> K:
    """A constant scalar."""
    return K(np.array(value, dtype))


_UNARY = "Abs Atan Ceil Cos Erf Exp Floor Neg Relu Round Sigmoid Sin Softplus Softsign Tan Tanh"
_POSITIVE = "Log Sqrt Reciprocal"
_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd"
    " ReduceSum ReduceSumSquare"
)


def _elementwise() -> list[Case]:
    cases = [c(o, f(2, 3) * 2) for o in _UNARY.split()]
    cases += [c(o, np.abs(f(2, 3)) + 0.1) for o in _POSITIVE.split()]
    cases += [c(o, f(5) / 10) for o in ("Acos", "Asin", "Atanh")]
    cases += [c("Acosh", np.abs(f(5)) + 2), *(c(o, f(5)) for o in ("Asinh", "Cosh", "Sinh"))]
    cases += [c("Round", np.float32([0.5, 1.5, 2.5, -0.5, -1.5, -2.5]))]
    for dtype in ("int32", "int64", "int8"):
        cases += [c(o, i(4, dtype=dtype)) for o in ("Abs", "Neg", "Sign")]
    cases += [c("Abs", f(3, dtype="float64")), c("Sign", f(4)), c("Relu", i(5, dtype="int32"))]
    cases += [c("Identity", f(2)), c("Identity", np.array([True, False])), c("Not", f(4) > 0)]
    for dtype in ("float32", "float64", "int32", "int64"):
        x, y = f(2, 1, 3) * 9, f(4, 1) * 9
        if dtype[0] == "i":
            x, y = i(2, 1, 3, low=-20, high=20), i(4, 1, low=1, high=9) * a(1, -1, 1, -1)[:, None]
        x, y = x.astype(dtype), y.astype(dtype)
        cases += [c(o, x, y) for o in ("Add", "Div", "Mul", "Sub", "Equal", "Greater", "Less")]
        cases += [c(o, x, y) for o in ("GreaterOrEqual", "LessOrEqual", "Max", "Min")]
        cases += [c("Mod", x, y, fmod=1)]
        cases += [c("Mod", x, y)] if dtype[0] == "i" else []
    for dtype in ("uint8", "int8", "uint32", "uint64"):
        x, y = (i(7, low=1, high=99, dtype=dtype) for _ in range(2))
        cases += [c(o, x, y) for o in ("Div", "Mod", "Max", "Min")]
        cases += [c(o, x, y, since=14) for o in ("Add", "Mul", "Sub")]
    cases += [c(o, f(3, 1) > 0, f(4) > 0) for o in ("And", "Or", "Xor", "Equal")]
    for dtype in ("int8", "uint8", "int32", "int64", "uint64"):
        x, y = i(2, 3, dtype=dtype, low=0, high=99), i(3, dtype=dtype, low=0, high=99)
        cases += [c(o, x, y) for o in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")]
        cases += [c("BitwiseNot", x)]
    for direction in ("LEFT", "RIGHT"):
        for dtype in ("uint8", "uint32", "uint64"):
            x, by = i(2, 3, low=0, high=120, dtype=dtype), i(3, low=0, high=7, dtype=dtype)
            cases += [c("BitShift", x, by, direction=direction)]
            cases += [c("BitShift", x, K(by), direction=direction)]
    for dtype in ("float32", "float64"):
        base = np.abs(f(2, 3, dtype=dtype)) + 0.5
        cases += [c("Pow", base, f(3, dtype=dtype)), c("Pow", base, s(2, dtype))]
        cases += [c("Pow", f(4, dtype=dtype), s(3, "int64"), since=12)]
        cases += [c("Pow", f(4, dtype=dtype), i(4, low=-3, high=4), since=12)]
    for dtype in ("int32", "int64"):
        x = i(5, dtype=dtype)
        cases += [c("Pow", x, s(2, dtype), since=12), c("Pow", x, s(0.5), since=12)][
            : 1 + (x > 0).all()
        ]
        cases += [c("Pow", x, i(5, low=0, high=4, dtype=dtype), since=12)]
        cases += [c("Pow", np.abs(x), f(5), since=12)]
    cases += [c("Sum", f(2, 3), f(3), f(1)), c("Sum", f(2)), c("Mean", f(2, 3), f(3), f(1))]
    cases += [c("Max", f(2, 3), f(3), f(1)), c("Min", f(2, 3), f(3), f(2, 1)), c("Max", f(2))]
    cases += [c("Clip", f(9) * 2, max=0.5, min=-1.0), c("Clip", f(9), max=0.5), c("Clip", f(9))]
    cases += [c("Clip", f(9) * 2, min=-0.5, until=10)]
    cases += [c("Clip", f(9) * 2, s(-1), s(0.5)), c("Clip", f(9), None, s(0.5))]
    cases += [c("Clip", f(9) * 2, np.float32(-1), np.float32(0.5)), c("Clip", f(9), s(-0.5))]
    cases += [c("Clip", i(9, dtype=d), s(-3, d), s(4, d), since=12) for d in ("int32", "int8")]
    cases += [c("Clip", f(9), s(1), s(-1))]  # the minimum above the maximum: the maximum wins
    special = np.float32([1, -np.inf, np.inf, np.nan, 0])
    cases += [c("IsNaN", special), c("IsInf", special)]
    cases += [c("IsInf", special, detect_negative=0), c("IsInf", special, detect_positive=0)]
    cases += [c("IsInf", special, detect_negative=0, detect_positive=0)]
    cases += [c("Where", f(2, 1, 3) > 0, f(4, 1), f(3)), c("Where", f(3) > 0, i(3), i(1))]
    return cases


def _activations() -> list[Case]:
    x = f(2, 3, 4) * 3
    cases = [
        c("Elu", x, alpha=0.3), c("Selu", x, alpha=1.1, gamma=2.0), c("Celu", x, alpha=0.4),
        c("HardSigmoid", x, alpha=0.3, beta=0.4), c("HardSwish", x), c("LeakyRelu", x, alpha=0.2),
        c("Gelu", x), c("Gelu", x, approximate="tanh"), c("Mish", x), c("Swish", x, alpha=0.7),
        c("ThresholdedRelu", x, alpha=0.7), c("Shrink", x, bias=0.3, lambd=0.8),
        c("ThresholdedRelu", x.astype("float64"), alpha=0.7), c("SwiGLU", x, f(2, 3, 4), alpha=1.5),
        c("LeakyRelu", x.astype("float64"), alpha=0.2), c("Elu", x.astype("float64"), alpha=0.3),
        c("HardSigmoid", x.astype("float64"), alpha=0.3, beta=0.4),
        c("Shrink", i(9, dtype="int32"), bias=0.0, lambd=3.0),
    ]  # fmt: skip
    for shape in ((1,), (4,), (3, 1), (3, 4), (2, 1, 4), (2, 3, 4), (1, 3, 1)):
        cases += [c("PRelu", x, f(*shape))]
    for operator in ("Softmax", "LogSoftmax", "Hardmax"):
        for axis in (0, 1, 2, -1, -2):
            old = {"until": 12} if axis >= 0 else {"since": 11}
            cases += [c(operator, x, axis=axis, **old), c(operator, x, axis=axis, since=13)]
        cases += [
            c(operator, x, until=12),
            c(operator, x, since=13),
            c(operator, f(5), until=12, axis=0),
        ]
    cases += [c("Hardmax", np.float32([[1, 3, 3, 2]]), since=13)]
    return cases


def _shapes() -> list[Case]:
    x = f(2, 3, 4)
    cases = [
        c("Cast", f(6) * 9, to=TensorProto.INT32), c("Cast", f(6), to=TensorProto.DOUBLE),
        c("Cast", i(6), to=TensorProto.FLOAT), c("Cast", i(6), to=TensorProto.BOOL),
        c("Cast", f(6) > 0, to=TensorProto.FLOAT), c("Cast", f(6) > 0, to=TensorProto.INT64),
        c("Cast", np.abs(f(6)) * 9, to=TensorProto.UINT8), c("Cast", f(6), to=TensorProto.BOOL),
        c("Cast", i(6, low=-300, high=300), to=TensorProto.INT8),
        c("Cast", f(6), to=TensorProto.FLOAT16), c("CastLike", f(6) * 9, i(1)),
        c("Concat", f(2, 3), f(1, 3), axis=0), c("Concat", f(2, 3), f(2, 1), axis=1),
        c("Concat", i(2, 3), i(2, 2), axis=-1, since=11), c("Concat", f(2, 0), f(2, 3), axis=1),
        c("Constant", value_float=1.5), c("Constant", value_floats=[1.5, 2.0]),
        c("Constant", value_int=3), c("Constant", value_ints=[3, 4]),
        c("Constant", value=numpy_helper.from_array(f(2, 2), "v")),
        c("ConstantOfShape", k(2, 3)), c("ConstantOfShape", k(4)),
        c("ConstantOfShape", k(2, 3), value=numpy_helper.from_array(a(7), "v")),
        c("Expand", f(3, 1), k(2, 1, 4)), c("Expand", f(3, 1), k(3, 4)), c("Expand", f(3), k(1)),
        c("Expand", f(3, 1), k(1, 4)), c("EyeLike", f(3, 4)), c("EyeLike", i(4, 3), k=-1),
        c("EyeLike", i(3, 4, dtype="int32"), k=1, dtype=TensorProto.FLOAT),
        c("Flatten", x), c("Flatten", x, axis=0), c("Flatten", x, axis=2), c("Flatten", x, axis=3),
        c("Flatten", x, axis=-2, since=11), c("Flatten", f(5)),
        c("Reshape", x, k(4, -1)), c("Reshape", x, k(0, 2, -1)), c("Reshape", f(), k(1)),
        c("Reshape", f(1), K(a())), c("Reshape", f(0, 3), k(3, 0), allowzero=1),
        c("Reshape", f(0, 3), k(0, 3)), c("Shape", x), c("Shape", x, start=1), c("Shape", x, end=-1),
        c("Shape", x, start=-2, end=9), c("Shape", x, start=2, end=1), c("Size", x),
        c("Squeeze", f(1, 3, 1)), c("Squeeze", f(1, 3, 1), axes=[2]), c("Squeeze", f(1, 3, 1), k(0, -1)),
        c("Squeeze", f(1, 3, 1), axes=[-1], since=11, until=12),
        c("Tile", f(2, 3), k(2, 1)), c("Tile", i(2, 1), k(1, 3)), c("Transpose", x),
        c("Transpose", x, perm=[2, 0, 1]), c("Transpose", f(3)), c("Unsqueeze", f(3), axes=[0, 2]),
        c("Unsqueeze", f(3), k(0, -1)), c("Unsqueeze", f(), k(0)),
        c("Unsqueeze", f(3, 4), k(3, 0)), c("NonZero", np.float32([[1, 0, 2], [0, 0, 3]])),
        c("Range", s(3, "int64"), s(11, "int64"), s(3, "int64")), c("Range", s(1), s(-2), s(-0.5)),
        c("Range", np.int64(3), np.int64(11), np.int64(3)), c("Range", s(3, "int64"), s(1, "int64"), s(1, "int64")),
        c("Trilu", f(3, 4)), c("Trilu", f(2, 3, 4), upper=0), c("Trilu", f(3, 4), s(1, "int64")),
        c("Trilu", f(3, 4), s(-1, "int64"), upper=0), c("Trilu", i(4, 3), s(-2, "int64")),
        c("Trilu", f(3, 4), s(9, "int64")), c("Trilu", f(3, 4), s(-9, "int64"), upper=0),
        c("DepthToSpace", f(2, 8, 2, 3), blocksize=2), c("SpaceToDepth", f(2, 3, 4, 6), blocksize=2),
        c("DepthToSpace", f(2, 8, 2, 3), blocksize=2, mode="CRD"),
        c("CenterCropPad", f(5, 7), k(3, 8)), c("CenterCropPad", f(5, 7, 2), k(8, 4), axes=[1, 0]),
    ]  # fmt: skip
    ends = np.iinfo(np.int64).max
    cases += [
        c("Slice", x, starts=[0, 1], ends=[1, 3]), c("Slice", x, starts=[1], ends=[-1], axes=[2]),
        c("Slice", x, k(1), k(3)), c("Slice", x, k(0, 1), k(9, 3), k(2, 1), k(2, 1)),
        c("Slice", x, k(-1), k(-9), k(-1), k(-1)), c("Slice", x, k(3), k(-ends), k(2), k(-2)),
        c("Slice", x, k(-2), k(ends), k(1)),
        c("Slice", x, K(np.int32([1])), K(np.int32([3])), K(np.int32([2]))),
        c("Slice", i(9), k(7), k(0), None, k(-3)),
        c("Split", f(6, 2), outputs=3), c("Split", f(2, 6), axis=1, outputs=2),
        c("Split", f(6, 2), split=[1, 2, 3], outputs=3), c("Split", f(6, 2), k(1, 2, 3), outputs=3),
        c("Split", f(2, 6), k(2, 4), axis=-1, outputs=2), c("Split", f(6), k(6), outputs=1),
        c("Split", f(2, 7), axis=1, num_outputs=3, outputs=3), c("Split", f(6), split=[2, 4], axis=0, outputs=2),
        c("Pad", f(2, 3), mode="constant", pads=[0, 1, 2, 1], value=1.5),
        c("Pad", f(2, 3), pads=[0, 1, 0, 1], mode="reflect"), c("Pad", f(2, 3), k(0, 1, 2, 1)),
        c("Pad", f(2, 3), k(0, 1, 2, 1), s(1.5)), c("Pad", f(2, 3), k(1, 2), s(1.5), k(-1)),
        c("Pad", f(2, 3), k(0, 1, 1, 1), mode="edge"),
    ]  # fmt: skip
    return cases


def _reductions() -> list[Case]:
    x = np.abs(f(2, 3, 4)) + 0.1
    cases = []
    for operator in _REDUCTIONS.split():
        cases += [c(operator, x), c(operator, x, keepdims=0), c(operator, x, axes=[1]),
                  c(operator, x, axes=[0, 2], keepdims=0), c(operator, x, axes=[-1], since=11),
                  c(operator, x, k(1)), c(operator, x, k(-1, 0), keepdims=0),
                  c(operator, x, K(a())), c(operator, x, K(a()), keepdims=0)]  # fmt: skip
        if operator != "ReduceLogSum":
            cases += [c(operator, x, noop_with_empty_axes=0), c(operator, -x, noop_with_empty_axes=1),
                      c(operator, -x, K(a()), noop_with_empty_axes=1, keepdims=0),
                      c(operator, -x, k(1), noop_with_empty_axes=1)]  # fmt: skip
    for dtype in ("int32", "int64"):
        y = i(3, 4, dtype=dtype)
        for operator in (
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
            "ReduceSumSquare",
            "ReduceL1",
            "ReduceMean",
        ):
            cases += [c(operator, y, axes=[1]), c(operator, y, k(1))]
    ties = np.float32([[1, 3, 3, 2], [5, 5, 1, 1], [2, 1, 1, 2]])
    for operator in ("ArgMax", "ArgMin"):
        cases += [c(operator, ties), c(operator, ties, axis=1), c(operator, ties, axis=1, keepdims=0),
                  c(operator, ties, axis=-1, since=11), c(operator, i(3, 4, dtype="int32"), axis=1),
                  c(operator, ties, axis=1, select_last_index=1),
                  c(operator, ties, axis=-1, select_last_index=1, keepdims=0),
                  c(operator, ties, axis=0, select_last_index=1)]  # fmt: skip
    for exclusive in (0, 1):
        for reverse in (0, 1):
            cases += [c("CumSum", f(2, 3), s(axis, "int32"), exclusive=exclusive, reverse=reverse)
                      for axis in (0, 1, -1)]  # fmt: skip
    cases += [c(o, f(3, 4) > 0, k(1)) for o in ("ReduceMax", "ReduceMin")]
    cases += [c("CumSum", i(5), s(0, "int64")), c("CumSum", f(4, dtype="float64"), k(0))]
    y = f(3, 5)
    cases += [c("TopK", y, k=2, outputs=2), c("TopK", y, k=2, axis=0, outputs=2),
              c("TopK", y, k(2), outputs=2), c("TopK", y, k(2), axis=0, outputs=2),
              c("TopK", y, k(2), axis=-2, outputs=2, since=11),
              c("TopK", y, k(2), largest=0, outputs=2), c("TopK", ties, k(3), outputs=2),
              c("TopK", ties, k(3), largest=0, outputs=2), c("TopK", i(3, 5), k(2), axis=0, outputs=2),
              c("TopK", y, k(5), outputs=2)]  # fmt: skip
    d = np.float32([[3, 1, 1], [2, 3, 1], [3, 1, 1]])
    cases += [c("Unique", d, outputs=4), c("Unique", d), c("Unique", d, outputs=4, axis=0),
              c("Unique", d, outputs=2, axis=1), c("Unique", d, outputs=4, sorted=0), c("Unique", i(9, low=0, high=4), outputs=3)]  # fmt: skip
    return cases


def _gathers() -> list[Case]:
    x = f(3, 4, 5)
    cases = [
        c("Gather", x, k(0, 2)), c("Gather", x, a(0, 2)), c("Gather", x, a(-1, 1), axis=1, since=11),
        c("Gather", x, i(2, 2, low=0, high=5), axis=2), c("Gather", x, np.int64(1), axis=-1, since=11),
        c("Gather", i(4), k(-1), since=11), c("Gather", x, K(np.int32([1])), axis=1),
        c("GatherElements", x, i(3, 4, 5, low=-3, high=3)), c("GatherElements", x, i(3, 2, 5, low=-4, high=4), axis=1),
        c("GatherElements", x, i(3, 4, 2, low=-5, high=5, dtype="int32"), axis=-1),
        c("GatherElements", x, i(2, 3, 4, low=-5, high=5), axis=2),
        c("GatherND", x, i(2, 2, low=-3, high=3)), c("GatherND", x, i(2, 3, low=0, high=3)),
        c("GatherND", x, i(3, 2, 1, low=-4, high=4), batch_dims=1), c("GatherND", x, i(3, 1, low=0, high=3)),
        c("GatherND", x, i(3, 4, 1, low=-5, high=5), batch_dims=2),
        c("Compress", x, np.array([True, False, True]), axis=0), c("Compress", f(2, 3), f(5) > 0),
        c("Compress", x, np.array([True, False, True]), axis=-2, since=11), c("Compress", x, np.array([False, True]), axis=1),
        c("OneHot", i(3, low=-4, high=4), s(4, "int64"), k(2, 5)), c("OneHot", i(2, 3, low=0, high=4), s(4, "int64"), k(0, 1), axis=0),
        c("OneHot", i(2, 3, low=-6, high=6), s(4, "int64"), k(0.5, 1.5, dtype="float32"), axis=1),
        c("OneHot", i(2, 3, low=0, high=4), s(4, "int64"), k(0, 1, dtype="float32"), axis=-2),
        c("OneHot", i(3, low=0, high=4, dtype="int32"), s(4, "int32"), k(0, 1, dtype="int32")),
    ]  # fmt: skip
    at = np.stack([RNG.permutation(3) for _ in range(4)], 1)
    cases += [
        c("ScatterElements", f(3, 4), at, f(3, 4)), c("ScatterElements", f(3, 4), at[:2], f(2, 4)),
        c("ScatterElements", f(4, 3), at.T, f(4, 3), axis=1), c("ScatterElements", f(3, 4), at[:2, :2] - 3, f(2, 2)),
        c("ScatterElements", f(5, 3), K(at.T[:2]), f(2, 3), axis=-1),
        c("Scatter", f(3, 4), at, f(3, 4)), c("Scatter", f(4, 3), at.T[:2], f(2, 3), axis=1),
        c("ScatterND", f(4, 3), a(2, 0)[:, None], f(2, 3)), c("ScatterND", f(4, 3), np.int64([[1, 2], [-1, 0]]), f(2)),
    ]  # fmt: skip
    for reduction in ("add", "mul", "max", "min"):
        since = 16 if reduction in ("add", "mul") else 18
        cases += [
            c("ScatterElements", f(3, 4), i(3, 4, low=-3, high=3), f(3, 4), axis=0, reduction=reduction, since=since),
            c("ScatterElements", f(3, 4), i(2, 3, low=0, high=4), f(2, 3), axis=1, reduction=reduction, since=since),
            c("ScatterND", f(4, 3), a(2, 2, 0)[:, None], f(3, 3), reduction=reduction, since=since),
            c("ScatterND", f(4, 3), np.int64([[1, 2], [1, 2]]), f(2), reduction=reduction, since=since),
        ]  # fmt: skip
    cases += [c("ScatterElements", f(3, 4), at, f(3, 4), reduction="none")]
    return cases


def _products() -> list[Case]:
    cases = [
        c("MatMul", f(3, 4), f(4, 5)), c("MatMul", f(4), f(4)), c("MatMul", f(2, 3, 4), f(4)),
        c("MatMul", f(4), f(2, 4, 3)), c("MatMul", f(2, 1, 3, 4), f(5, 4, 2)),
        c("MatMul", i(3, 4, dtype="int32"), i(4, 5, dtype="int32"), since=9),
        c("MatMul", f(3, 4, dtype="float64"), f(4, 5, dtype="float64")), c("MatMul", f(0, 4), f(4, 5)),
        c("MatMul", f(3, 0), f(0, 5)),
        c("Gemm", f(3, 4), f(4, 5), f(5)), c("Gemm", f(3, 4), f(4, 5), since=11),
        c("Gemm", f(4, 3), f(5, 4), f(3, 1), transA=1, transB=1, alpha=0.5, beta=2.0),
        c("Gemm", f(3, 4), f(5, 4), s(0.5), transB=1, beta=0.25), c("Gemm", f(3, 4), f(4, 5), f(3, 5), beta=0.0),
        c("MatMulInteger", i(3, 4, low=0, high=255, dtype="uint8"), i(4, 5, dtype="int8")),
        c("MatMulInteger", i(3, 4, low=0, high=255, dtype="uint8"), i(4, 5, dtype="int8"), K(np.uint8(7)), K(np.int8(-3))),
        c("MatMulInteger", i(3, 4, low=0, high=255, dtype="uint8"), i(4, 5, low=0, dtype="uint8"), None, k(1, 2, 3, 4, 5, dtype="uint8")),
        c("Einsum", f(3, 4), f(4, 5), equation="ij,jk->ik"), c("Einsum", f(2, 3), equation="ij->ji"),
        c("Einsum", f(2, 3), equation="ij->"), c("Einsum", f(2, 3), f(2, 3), equation="ij,ij->i"),
        c("Einsum", f(2, 3, 4), f(2, 4, 5), equation="bij,bjk->bik"), c("Einsum", f(3, 3), equation="ii->i"),
        c("Einsum", f(2, 3, 3), equation="...ii->...i"), c("Einsum", f(2, 3, 4), f(2, 4, 5), equation="...ij,...jk->...ik"),
        c("Einsum", f(2, 3), f(3, 4), equation="ij,jk"), c("Einsum", f(2, 3), f(4, 3), f(4), equation="ij,kj,k->ik"),
        c("Einsum", f(3), f(3), equation="i,i"), c("Einsum", f(3, 3), equation="ii"),
        c("Einsum", f(2, 3), f(3, 4), equation=" ij , jk -> ki "), c("Einsum", f(2, 1, 3), f(4, 3), equation="...j,...j->..."),
    ]  # fmt: skip
    x = f(2, 4, 7, 6)
    cases += [
        c("Conv", x, f(3, 4, 3, 3)), c("Conv", x, f(3, 4, 3, 2), f(3), kernel_shape=[3, 2], pads=[1, 0, 2, 1], strides=[2, 1]),
        c("Conv", x, f(4, 2, 3, 3), group=2, dilations=[2, 1]), c("Conv", x, f(4, 1, 3, 3), f(4), group=4),
        c("Conv", x, f(3, 4, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]), c("Conv", x, f(3, 4, 2, 3), auto_pad="SAME_LOWER"),
        c("Conv", x, f(3, 4, 3, 3), auto_pad="VALID"), c("Conv", f(2, 3, 8), f(4, 3, 3), f(4), pads=[2, 1]),
        c("Conv", f(1, 2, 4, 5, 4), f(3, 2, 2, 3, 2), f(3), pads=[1, 0, 1, 0, 1, 1]),
        c("Conv", f(2, 3, 8), f(4, 3, 3), auto_pad="SAME_UPPER", strides=[3]),
        c("ConvTranspose", x, f(4, 3, 3, 3)), c("ConvTranspose", x, f(4, 3, 3, 2), f(3), strides=[2, 2], pads=[1, 0, 0, 1], output_padding=[1, 1]),
        c("ConvTranspose", x, f(4, 2, 3, 3), group=2, strides=[2, 1]), c("ConvTranspose", f(2, 3, 5), f(3, 4, 3), f(4), strides=[2]),
        c("ConvTranspose", x, f(4, 3, 3, 3), dilations=[2, 1]), c("ConvTranspose", x, f(4, 3, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
        c("ConvTranspose", x, f(4, 3, 3, 3), kernel_shape=[3, 3], auto_pad="VALID"),
        c("AveragePool", x, kernel_shape=[3, 2]), c("AveragePool", x, kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 2]),
        c("AveragePool", x, kernel_shape=[3, 2], pads=[1, 0, 1, 1], count_include_pad=1),
        c("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), c("AveragePool", x, kernel_shape=[2, 2], dilations=[2, 1]),
        c("AveragePool", x, kernel_shape=[3, 2], auto_pad="SAME_UPPER"), c("AveragePool", f(2, 3, 7), kernel_shape=[3]),
        c("MaxPool", x, kernel_shape=[3, 2]), c("MaxPool", x, kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 2]),
        c("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), c("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 1]),
        c("MaxPool", x, kernel_shape=[3, 2], auto_pad="SAME_UPPER", strides=[2, 2]), c("MaxPool", f(2, 3, 7), kernel_shape=[3]),
        c("LpPool", x, kernel_shape=[2, 2]), c("LpPool", x, kernel_shape=[2, 2], p=3, strides=[2, 1], pads=[1, 0, 0, 1]),
        c("LpPool", x, kernel_shape=[2, 2], dilations=[2, 1]), c("LpPool", x, kernel_shape=[3, 2], auto_pad="SAME_UPPER"),
        c("LpPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        c("GlobalAveragePool", x), c("GlobalMaxPool", x), c("GlobalLpPool", x, p=3, until=21), c("GlobalAveragePool", f(2, 3, 5)),
        c("MaxRoiPool", x, np.float32([[0, 0, 0, 4, 5], [1, 1, 1, 5, 6]]), pooled_shape=[2, 2], spatial_scale=0.5, until=21),
        c("RoiAlign", x, np.float32([[0, 0, 4, 5], [1, 1, 5, 6]]), a(0, 1), output_height=2, output_width=3, sampling_ratio=2, spatial_scale=0.5),
        c("RoiAlign", x, np.float32([[0, 0, 4, 5], [1, 1, 5, 6]]), a(0, 1), mode="max", coordinate_transformation_mode="output_half_pixel", sampling_ratio=2),
        c("GridSample", x, f(2, 3, 5, 2) / 2), c("GridSample", x, f(2, 3, 5, 2), align_corners=1, padding_mode="border"),
        c("GridSample", x, f(2, 3, 5, 2), mode="nearest"), c("AffineGrid", f(2, 2, 3), k(2, 3, 4, 5), align_corners=1),
        c("Upsample", f(1, 2, 3, 4), mode="nearest", scales=[1.0, 1.0, 2.0, 2.0], until=8),
        c("Upsample", f(1, 2, 3, 4), k(1, 1, 2, 3, dtype="float32"), mode="nearest", since=9, until=9),
        c("Resize", f(1, 2, 3, 4), k(1, 1, 2, 2, dtype="float32"), mode="nearest", until=10),
        c("Resize", f(1, 2, 3, 4), None, None, k(1, 2, 6, 8), mode="linear", coordinate_transformation_mode="asymmetric", since=13),
        c("Resize", f(1, 2, 3, 4), None, k(1, 1, 2, 2, dtype="float32"), mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric", since=13),
        c("Resize", f(1, 2, 4, 4), None, None, k(1, 2, 8, 8), mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1, since=13),
        c("Resize", f(1, 2, 4, 4), k(0, 0, 0.2, 0.2, 1, 1, 1.2, 1.2, dtype="float32"), None, k(1, 2, 5, 5), mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=3.0, since=13),
    ]  # fmt: skip
    return cases


def _normalizations() -> list[Case]:
    x = f(2, 4, 3, 5)
    positive = np.abs(f(4)) + 0.5
    cases = [
        c("BatchNormalization", x, f(4), f(4), f(4), positive, epsilon=0.1, momentum=0.5),
        c("BatchNormalization", f(3, 4), f(4), f(4), f(4), positive), c("BatchNormalization", f(3, 4, 5), f(4), f(4), f(4), positive),
        c("InstanceNormalization", x, f(4), f(4), epsilon=0.1), c("InstanceNormalization", f(2, 3, 7), f(3), f(3)),
        c("LRN", x, size=3, alpha=0.3, beta=0.6, bias=1.5), c("MeanVarianceNormalization", x, rtol=1e-4),
        c("MeanVarianceNormalization", x, axes=[0, 1], rtol=1e-4),
        c("GroupNormalization", x, f(2), f(2), num_groups=2, epsilon=0.1, since=18, until=20),
        c("GroupNormalization", x, f(4), f(4), num_groups=2, epsilon=0.1, since=21),
        c("RMSNormalization", x, f(5), epsilon=0.1), c("RMSNormalization", x, f(3, 5), axis=-2, stash_type=1),
        c("Dropout", x), c("Dropout", x, ratio=0.9, until=11), c("Dropout", x, s(0.9)), c("Dropout", x, s(0.5), K(np.array(False))),
        c("Dropout", x, s(0.5), seed=3, outputs=2), c("Dropout", f(3), outputs=2, since=12),
    ]  # fmt: skip
    for shape, axis in (
        ((5,), -1),
        ((3, 5), 2),
        ((3, 5), -2),
        ((4, 3, 5), 1),
        ((5,), 2),
        ((3, 1), 2),
        ((1,), -1),
    ):
        cases += [c("LayerNormalization", x, f(*shape), f(*shape), axis=axis, epsilon=0.1),
                  c("LayerNormalization", x, f(*shape), axis=axis, outputs=3)]  # fmt: skip
    cases += [c("LayerNormalization", x, f(5), f(3, 5), axis=-2)]
    return cases


def _attention() -> list[Case]:
    def heads(*shape: int) -> tuple[np.ndarray, ...]:
        return f(2, 4, 3, 8), f(2, shape[0], 6, 8), f(2, shape[0], 6, 10)

    mask = RNG.random((3, 6)) < 0.6
    mask[:, 0] = True
    return [
        c("Attention", *heads(4)), c("Attention", *heads(2), scale=0.3), c("Attention", *heads(4), mask),
        c("Attention", *heads(4), f(3, 6), softcap=2.0), c("Attention", *heads(4), is_causal=1),
        c("Attention", f(2, 3, 16), f(2, 6, 8), f(2, 6, 8), q_num_heads=4, kv_num_heads=2),
        c("Attention", *heads(4), None, f(2, 4, 2, 8), f(2, 4, 2, 10), outputs=3),
        c("Attention", *heads(4), None, f(2, 4, 2, 8), f(2, 4, 2, 10), outputs=4, qk_matmul_output_mode=1, softmax_precision=1),
        c("RotaryEmbedding", f(2, 4, 3, 8), f(9, 4), f(9, 4), i(2, 3, low=0, high=9)),
        c("RotaryEmbedding", f(2, 3, 32), K(f(9, 4)), K(f(9, 4)), i(2, 3, low=0, high=9), num_heads=4, interleaved=1),
        c("RotaryEmbedding", f(2, 4, 3, 8), f(9, 2), f(9, 2), i(2, 3, low=0, high=9), rotary_embedding_dim=4),
        c("RotaryEmbedding", f(2, 4, 3, 8), f(2, 3, 4), f(2, 3, 4)),
    ]  # fmt: skip


def _quantization() -> list[Case]:
    x = f(3, 4) * 9
    halves = np.float32([0.5, 1.5, 2.5, -0.5, 300, -300])
    return [
        c("QuantizeLinear", x, s(0.1), K(np.uint8(100))), c("QuantizeLinear", halves, s(1.0)),
        c("QuantizeLinear", halves, s(1.0), K(np.int8(3))), c("QuantizeLinear", x, np.float32(0.2), np.int8(-5)),
        c("QuantizeLinear", x, K(np.abs(f(4)) + 0.1), K(i(4, dtype="int8"))),
        c("QuantizeLinear", x, K(np.abs(f(3)) + 0.1), K(i(3, dtype="int8")), axis=0),
        c("QuantizeLinear", x, K(np.abs(f(3)) + 0.1), output_dtype=TensorProto.INT8, axis=-2),
        c("DequantizeLinear", i(3, 4, dtype="int8"), s(0.1), K(np.int8(3))), c("DequantizeLinear", i(3, 4, low=0, dtype="uint8"), s(0.1)),
        c("DequantizeLinear", i(3, 4, dtype="int8"), K(f(4)), K(i(4, dtype="int8"))),
        c("DequantizeLinear", i(3, 4, dtype="int8"), K(f(3)), K(i(3, dtype="int8")), axis=0),
        c("DequantizeLinear", i(3, 4, dtype="int32", low=-999, high=999), s(0.1)),
        c("DequantizeLinear", i(3, 4, dtype="int8"), s(0.1), output_dtype=TensorProto.FLOAT16),
        c("DynamicQuantizeLinear", x, outputs=3), c("DynamicQuantizeLinear", np.abs(x), outputs=3),
        c("DynamicQuantizeLinear", -np.abs(x), outputs=3),
    ]  # fmt: skip


def _contributed() -> list[Case]:
    ms = {"domain": "com.microsoft"}
    both = {"outputs": 2, "read": 1, **ms}
    x, ids = f(2, 3, 8), i(2, 3, low=0, high=5, dtype="int32")
    tables = [K(f(5, 8)), K(f(6, 8)), K(f(2, 8)), K(f(8)), K(f(8))]
    return [
        c("Gelu", x, **ms), c("FastGelu", x, **ms), c("FastGelu", x, K(f(8)), **ms), c("BiasGelu", x, K(f(8)), **ms),
        c("SkipLayerNormalization", x, f(2, 3, 8), K(f(8)), K(f(8)), K(f(8)), epsilon=0.1, outputs=4, **ms),
        c("SkipLayerNormalization", x, f(2, 3, 8), K(f(8)), **ms),
        c("EmbedLayerNormalization", ids, ids % 2, *tables, epsilon=0.1, **both),
        c("EmbedLayerNormalization", ids, None, *tables[:2], None, *tables[3:], **both),
        c("EmbedLayerNormalization", ids, ids % 2, *tables, None, ids, **both),
        c("Attention", x, K(f(8, 24)), K(f(24)), num_heads=2, **ms),
        c("Attention", x, K(f(8, 20)), K(f(20)), num_heads=2, qkv_hidden_sizes=[8, 8, 4], **ms),
        c("Attention", x, K(f(8, 24)), K(f(24)), num_heads=2, unidirectional=0, **ms),
        c("QuantizeLinear", f(3, 4), s(0.1), K(np.uint8(100)), **ms), c("DequantizeLinear", i(3, 4, dtype="int8"), s(0.1), K(np.int8(3)), **ms),
        c("DequantizeLinear", i(3, 4, dtype="int8"), K(f(3)), K(i(3, dtype="int8")), axis=0, **ms),
    ]  # fmt: skip


def _functions() -> list[Case]:
    cases = []
    for window in ("BlackmanWindow", "HammingWindow", "HannWindow"):
        cases += [c(window, s(9, "int64")), c(window, s(8, "int64"), periodic=0), c(window, s(8, "int64"), output_datatype=TensorProto.DOUBLE)]
    scores, labels = f(3, 5, 2), i(3, 2, low=0, high=5)
    for reduction in ("none", "sum", "mean"):
        cases += [
            c("NegativeLogLikelihoodLoss", -np.abs(scores), labels, reduction=reduction),
            c("NegativeLogLikelihoodLoss", -np.abs(scores), labels, K(np.abs(f(5))), reduction=reduction, ignore_index=1),
            c("SoftmaxCrossEntropyLoss", scores, labels, reduction=reduction, outputs=2),
            c("SoftmaxCrossEntropyLoss", scores, labels, K(np.abs(f(5))), reduction=reduction, ignore_index=1),
        ]  # fmt: skip
    cases += [
        c("CausalConvWithState", f(2, 4, 6), f(4, 1, 3), f(4), f(2, 4, 2), outputs=2, activation="silu"),
        c("CausalConvWithState", f(2, 4, 6), f(4, 1, 3), outputs=2),
    ]  # fmt: skip
    return cases


CASES = [
    *_functions(),
    *_elementwise(), *_activations(), *_shapes(), *_reductions(), *_gathers(), *_products(),
    *_normalizations(), *_attention(), *_quantization(), *_contributed(),
]  # fmt: skip
