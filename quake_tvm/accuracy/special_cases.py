"""Test cases: operators and fused graphs at NaN, infinities, signed zeros and subnormal numbers.

Every case is a part of one ONNX graph, and the same function in PyTorch. ``why`` explains where
another runtime gives another result than this library, ``rung`` where a rung differs from
``exact``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

NAN, INF, TINY = np.nan, np.inf, 1e-40
VALUES = np.array([NAN, INF, -INF, -0.0, TINY], "float32")
PAIRS = np.array(
    [[NAN, 1], [1, NAN], [-INF, -INF], [INF, -INF], [-0.0, 0], [0, -0.0], [TINY, 0]], "float32"
)
ROWS = np.array(
    [
        [-INF, -INF, -INF, -INF],
        [INF, INF, INF, INF],
        [NAN, 1, 2, 0],
        [2, 1, 0, NAN],
        [1, INF, 0, 2],
        [1, -INF, 0, 2],
        [0, -0.0, 0, -0.0],
        [TINY, -TINY, 0, 0],
    ],
    "float32",
)
# One special value per row of a product, or per window of a convolution.
MIXED = np.concatenate([VALUES[:, None], np.ones((5, 3), "float32")], 1)
INPUTS = {
    "x": VALUES,
    "a": PAIRS[:, 0].copy(),
    "b": PAIRS[:, 1].copy(),
    "r": ROWS,
    "i": ROWS.reshape(8, 1, 1, 4),
    "m": MIXED,
    "c": MIXED.reshape(5, 1, 2, 2),
    "s": ROWS.reshape(1, 1, 8, 4),
    "q": np.ones((1, 1, 8, 16), "float32"),
}
CONSTANTS = {
    "zero": np.float32(0),
    "low": np.float32(-1),
    "one": np.float32(1),
    "six": np.float32(6),
    "quarter": np.array([0.25], "float32"),
    "last": np.array([-1]),
    "axis": np.array(1),
    "weights": np.full((4, 2), 0.5, "float32"),
    "kernel": np.full((1, 1, 2, 2), 0.5, "float32"),
    "keys": np.full((1, 1, 16, 4), 0.125, "float32"),
    "v": np.arange(8, dtype="float32").reshape(1, 1, 4, 2),
    "scale": np.ones(4, "float32"),
    "shift": np.zeros(4, "float32"),
}
Node = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A part of the graph.

    Attributes
    ----------
    name : str
    nodes : list of Node
        The ONNX operator, the names of its inputs, its attributes. ``_`` is the result of the node
        before.
    torch : callable, optional
        The same function, of (torch, its functional module, tensors by name).
    why, rung : str
        The reason for a difference to another runtime, and for a difference of a rung.
    """

    name: str
    nodes: list[Node]
    torch: Callable[[Any, Any, dict], Any] | None = None
    why: str = ""
    rung: str = ""

    @property
    def points(self) -> str:
        """The group of inputs that the case uses, which is also its table."""
        inputs = {name for _, names, _ in self.nodes for name in names.split()}
        of = {"x": "values", "a": "pairs", "m": "graphs", "c": "graphs"}
        return next((points for name, points in of.items() if name in inputs), "rows")


def _one(name: str, inputs: str = "x", **attributes: Any) -> list[Node]:
    return [(name, inputs, attributes)]


def _torch(name: str, *args: Any, **options: Any) -> Callable[[Any, Any, dict], Any]:
    """A function of torch, or of its functional module, applied to the values."""
    return lambda t, f, v: getattr(f if hasattr(f, name) else t, name)(v["x"], *args, **options)


_LIMIT = "-inf times 0 is NaN; a rung gives the limit"
_ZEROS = "ONNX Runtime gives +0 for -0"
_BOUND = "without an upper bound ONNX Runtime clips at the largest finite number"
_POOL = "ONNX Runtime passes over NaN, and starts at the lowest finite number"
_INDEX = "ONNX Runtime passes over NaN; here, as in PyTorch, the first NaN is the extreme"

CASES = [
    Case("Relu", _one("Relu"), _torch("relu")),
    Case("Clip [-1, 1]", _one("Clip", "x low one"), _torch("clamp", -1, 1)),
    Case("Clip [0, 6]", _one("Clip", "x zero six"), _torch("relu6")),
    Case("Clip below", _one("Clip", "x zero"), _torch("clamp_min", 0), _BOUND),
    Case("LeakyRelu", _one("LeakyRelu"), _torch("leaky_relu")),
    Case("PRelu", _one("PRelu", "x quarter"), lambda t, f, v: f.prelu(v["x"], t.tensor([0.25]))),
    Case(
        "ThresholdedRelu",
        _one("ThresholdedRelu"),
        lambda t, f, v: f.threshold(v["x"], 1, 0),
        "PyTorch lets NaN pass; ONNX has 0 for whatever is not above alpha",
    ),
    Case("HardSigmoid", _one("HardSigmoid", alpha=1 / 6), _torch("hardsigmoid")),
    Case("HardSwish", _one("HardSwish"), _torch("hardswish")),
    Case("Sign", _one("Sign"), _torch("sign"), "PyTorch gives 0 for NaN"),
    Case("Abs", _one("Abs"), _torch("abs")),
    Case("Sqrt", _one("Sqrt"), _torch("sqrt")),
    Case("Reciprocal", _one("Reciprocal"), _torch("reciprocal")),
    Case("Round", _one("Round"), _torch("round")),
    Case("Exp", _one("Exp"), _torch("exp")),
    Case("Log", _one("Log"), _torch("log")),
    Case("Sigmoid", _one("Sigmoid"), _torch("sigmoid")),
    Case("Tanh", _one("Tanh"), _torch("tanh")),
    Case("Erf", _one("Erf"), _torch("erf")),
    Case("Elu", _one("Elu"), _torch("elu")),
    Case("Selu", _one("Selu"), _torch("selu"), _ZEROS),
    Case("Celu", _one("Celu"), _torch("celu"), _ZEROS),
    Case("Gelu", _one("Gelu"), _torch("gelu"), "PyTorch gives +0 for -0", rung=_LIMIT),
    Case(
        "Gelu, tanh",
        _one("Gelu", approximate="tanh"),
        _torch("gelu", approximate="tanh"),
        rung=_LIMIT,
    ),
    Case("SiLU", [*_one("Sigmoid"), ("Mul", "x _", {})], _torch("silu"), rung=_LIMIT),
    Case("Mish", _one("Mish"), _torch("mish"), rung=_LIMIT),
    Case("Softplus", _one("Softplus"), _torch("softplus")),
    Case("Softsign", _one("Softsign"), _torch("softsign")),
    Case("x * 0", _one("Mul", "x zero"), lambda t, f, v: v["x"] * 0),
    Case("x / 0", _one("Div", "x zero"), lambda t, f, v: v["x"] / 0),
    Case(
        "0 / x",
        _one("Div", "zero x"),
        lambda t, f, v: 0 / v["x"],
        "PyTorch multiplies by 1/x, which overflows",
    ),
    Case(
        "x - x",
        [*_one("Relu"), ("Sub", "_ _", {})],
        lambda t, f, v: f.relu(v["x"]) - f.relu(v["x"]),
    ),
    Case(
        "(x + 1) - 1", [*_one("Add", "x one"), ("Sub", "_ one", {})], lambda t, f, v: v["x"] + 1 - 1
    ),
    Case("IsNaN", _one("IsNaN"), _torch("isnan")),
    Case("Max", _one("Max", "a b"), lambda t, f, v: t.maximum(v["a"], v["b"])),
    Case("Min", _one("Min", "a b"), lambda t, f, v: t.minimum(v["a"], v["b"])),
    Case("Add", _one("Add", "a b"), lambda t, f, v: v["a"] + v["b"]),
    Case("Mul", _one("Mul", "a b"), lambda t, f, v: v["a"] * v["b"]),
    Case("Div", _one("Div", "a b"), lambda t, f, v: v["a"] / v["b"]),
    Case("Pow", _one("Pow", "a b"), lambda t, f, v: v["a"] ** v["b"]),
    Case("Mod, fmod", _one("Mod", "a b", fmod=1), lambda t, f, v: t.fmod(v["a"], v["b"])),
    Case("Equal", _one("Equal", "a b"), lambda t, f, v: v["a"] == v["b"]),
    Case("not Equal", [*_one("Equal", "a b"), ("Not", "_", {})], lambda t, f, v: v["a"] != v["b"]),
    Case("Less", _one("Less", "a b"), lambda t, f, v: v["a"] < v["b"]),
    Case("not Less", [*_one("Less", "a b"), ("Not", "_", {})], lambda t, f, v: ~(v["a"] < v["b"])),
    Case(
        "ReduceMax",
        _one("ReduceMax", "r last"),
        lambda t, f, v: v["r"].amax(-1),
        "ONNX Runtime passes over NaN, except the first",
    ),
    Case(
        "ReduceMin",
        _one("ReduceMin", "r last"),
        lambda t, f, v: v["r"].amin(-1),
        "ONNX Runtime passes over NaN, except the first",
    ),
    Case("ReduceSum", _one("ReduceSum", "r last"), lambda t, f, v: v["r"].sum(-1)),
    Case("ReduceMean", _one("ReduceMean", "r last"), lambda t, f, v: v["r"].mean(-1)),
    Case("ReduceProd", _one("ReduceProd", "r last"), lambda t, f, v: v["r"].prod(-1)),
    Case("ReduceL2", _one("ReduceL2", "r last"), lambda t, f, v: v["r"].norm(dim=-1)),
    Case(
        "ReduceLogSumExp", _one("ReduceLogSumExp", "r last"), lambda t, f, v: v["r"].logsumexp(-1)
    ),
    Case("ArgMax", _one("ArgMax", "r", axis=1), lambda t, f, v: v["r"].argmax(-1), _INDEX),
    Case("ArgMin", _one("ArgMin", "r", axis=1), lambda t, f, v: v["r"].argmin(-1), _INDEX),
    Case("CumSum", _one("CumSum", "r axis"), lambda t, f, v: v["r"].cumsum(-1)),
    Case("Softmax", _one("Softmax", "r"), lambda t, f, v: f.softmax(v["r"], -1)),
    Case("LogSoftmax", _one("LogSoftmax", "r"), lambda t, f, v: f.log_softmax(v["r"], -1)),
    Case(
        "MaxPool",
        _one("MaxPool", "i", kernel_shape=[1, 4]),
        lambda t, f, v: f.max_pool2d(v["i"], (1, 4)),
        _POOL,
    ),
    Case(
        "MaxPool, padded",
        _one("MaxPool", "i", kernel_shape=[1, 3], pads=[0, 1, 0, 1], strides=[1, 3]),
        lambda t, f, v: f.max_pool2d(v["i"], (1, 3), (1, 3), (0, 1)),
        _POOL,
    ),
    Case(
        "GlobalMaxPool",
        _one("GlobalMaxPool", "i"),
        lambda t, f, v: f.adaptive_max_pool2d(v["i"], 1),
        _POOL,
    ),
    Case(
        "AveragePool",
        _one("AveragePool", "i", kernel_shape=[1, 4]),
        lambda t, f, v: f.avg_pool2d(v["i"], (1, 4)),
    ),
    Case(
        "LayerNormalization",
        _one("LayerNormalization", "r scale shift"),
        lambda t, f, v: f.layer_norm(v["r"], (4,)),
    ),
    Case(
        "MatMul, GELU",
        [*_one("MatMul", "m weights"), ("Gelu", "_", {})],
        lambda t, f, v: f.gelu(v["m"] @ v["weights"]),
        rung=_LIMIT,
    ),
    Case(
        "MatMul, ReLU",
        [*_one("MatMul", "m weights"), ("Relu", "_", {})],
        lambda t, f, v: f.relu(v["m"] @ v["weights"]),
    ),
    Case(
        "MatMul, softmax",
        [*_one("MatMul", "m weights"), ("Softmax", "_", {})],
        lambda t, f, v: f.softmax(v["m"] @ v["weights"], -1),
    ),
    Case(
        "Conv, SiLU",
        [
            *_one("Conv", "c kernel"),
            ("Identity", "_", {}),
            ("Sigmoid", "_", {}),
            ("Mul", "_1 _", {}),
        ],
        lambda t, f, v: f.silu(f.conv2d(v["c"], v["kernel"])),
        rung=_LIMIT,
    ),
    Case(
        "Conv, ReLU, MaxPool",
        [
            *_one("Conv", "c kernel", pads=[1, 1, 1, 1]),
            ("Relu", "_", {}),
            ("MaxPool", "_", {"kernel_shape": [3, 3]}),
        ],
        lambda t, f, v: f.max_pool2d(f.relu(f.conv2d(v["c"], v["kernel"], padding=1)), 3),
        _POOL,
    ),
    Case(
        "attention of scores",
        [*_one("Softmax", "s"), ("MatMul", "_ v", {})],
        lambda t, f, v: f.softmax(v["s"], -1) @ v["v"],
    ),
    Case(
        "attention with a mask",
        [
            *_one("MatMul", "q keys"),
            ("Add", "_ s", {}),
            ("Softmax", "_", {}),
            ("MatMul", "_ v", {}),
        ],
        lambda t, f, v: f.softmax(v["q"] @ v["keys"] + v["s"], -1) @ v["v"],
    ),
]
