"""Nodes whose elements depend on one element of each operand."""

import numpy as np
from onnx import TensorProto

from .graph import FLOATS, Graph, Skip
from .makers import makes, scalar

INTS = (np.int32, np.int64)
NUMBERS = (np.float32, np.float32, np.float64, np.float16, np.int32, np.int64)


@makes(
    "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cos", "Cosh", "Sin", "Sinh", "Tan",
    weight=0.3,
)  # fmt: skip
def trigonometric(g: Graph, op: str) -> None:
    x = g.operand()
    if op == "Acosh":
        x = g.one("Add", g.one("Abs", x, keep=False), scalar(g, 1.25), keep=False)
    elif op in ("Asin", "Acos", "Atanh"):
        x = g.one("Mul", g.one("Softsign", x, keep=False), scalar(g, 0.9), keep=False)
    g.one(op, x)


@makes("Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Softplus", weight=1.5)
def nonlinearity(g: Graph, op: str) -> None:
    g.one(op, g.operand((np.float32, np.float64)))


@makes(
    "Abs", "Ceil", "Floor", "Log", "Neg", "Reciprocal", "Sqrt", "Softsign", "Selu", "HardSwish",
    "Mish", "Swish", "Identity", "Sign", "Round",
)  # fmt: skip
def unary(g: Graph, op: str) -> None:
    types = NUMBERS if op in ("Abs", "Neg", "Sign", "Identity") else (np.float32, np.float64)
    x = g.operand(types)
    if op in ("Log", "Sqrt", "Reciprocal") and g.chance(0.8) and g.values[x].dtype == np.float32:
        x = g.one("Add", g.one("Abs", x, keep=False), scalar(g, 0.5), keep=False)
    g.one(op, x)


@makes("Elu", "LeakyRelu", "Celu", "ThresholdedRelu", "HardSigmoid", "Shrink")
def with_alpha(g: Graph, op: str) -> None:
    names = {"HardSigmoid": ("alpha", "beta"), "Shrink": ("lambd", "bias")}.get(op, ("alpha",))
    given = {name: g.pick([0.01, 0.2, 0.5, 1.0, 1.5, 2.0]) for name in names if g.chance(0.7)}
    g.one(op, g.operand(), **given)


@makes("Gelu")
def gelu(g: Graph, op: str) -> None:
    x = g.operand()
    if g.opset >= 20:
        g.one(op, x, **({"approximate": g.pick(["tanh", "none"])} if g.chance(0.6) else {}))
    else:
        g.one(op, x, domain="com.microsoft")


@makes("FastGelu", "BiasGelu", weight=0.5)
def bias_gelu(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 4))
    bias = [g.weights(g.values[x].shape[-1])] if op == "BiasGelu" or g.chance(0.5) else []
    g.one(op, x, *bias, domain="com.microsoft")


@makes("Clip")
def clip(g: Graph, op: str) -> None:
    x = g.operand(NUMBERS)
    low, high = sorted(float(v) for v in g.random.integers(-3, 4, 2))
    if g.chance(0.1):
        low, high = high, low
    which = g.pick(["both", "low", "high", "none"])
    if g.opset < 11:
        bounds = {"min": low} if which in ("both", "low") else {}
        bounds |= {"max": high} if which in ("both", "high") else {}
        g.one(op, x, **bounds)
        return
    dtype = g.values[x].dtype
    low = scalar(g, low, dtype) if which in ("both", "low") else ""
    high = scalar(g, high, dtype) if which in ("both", "high") else ""
    g.one(op, x, *([low, high] if high else [low] if low else []))


@makes("IsInf", "IsNaN", weight=0.5)
def classify(g: Graph, op: str) -> None:
    x = g.operand(rank=(0, 4))
    signs = {"detect_negative": g.integer(0, 1), "detect_positive": g.integer(0, 1)}
    g.one(op, x, **(signs if op == "IsInf" and g.chance(0.5) else {}))


@makes("Not", weight=0.5)
def negate(g: Graph, op: str) -> None:
    g.one(op, g.operand(np.bool_))


@makes("BitwiseNot", weight=0.3)
def invert(g: Graph, op: str) -> None:
    g.one(op, g.operand((np.int32, np.int64, np.uint8)))


@makes("Cast", "CastLike")
def cast(g: Graph, op: str) -> None:
    x = g.operand((*NUMBERS, np.bool_, np.uint8, np.int8), where=np.any)
    value = g.values[x]
    to = g.pick([np.float32, np.float64, np.float16, np.int32, np.int64, np.bool_, np.uint8])
    if value.dtype in FLOATS and np.dtype(to).kind in "iu":
        top = 100 if to == np.uint8 else 2**30  # a conversion out of range is undefined
        if not (np.isfinite(value).all() and np.abs(value).max(initial=0) < top):
            raise Skip
        if to == np.uint8 and value.min(initial=0) < 0:
            raise Skip
    if value.dtype.kind == "i" and to == np.uint8 and value.min(initial=0) < 0:
        raise Skip
    number = TensorProto.DataType.Value(
        {"float16": "FLOAT16", "float32": "FLOAT", "float64": "DOUBLE"}.get(
            np.dtype(to).name, np.dtype(to).name.upper()
        )
    )
    if op == "Cast":
        g.one(op, x, to=number)
    else:
        g.one(op, x, g.operand(to, rank=(1, 3)))


@makes("Dropout", weight=0.4)
def dropout(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 4))
    two = 2 if g.chance(0.2) else 1
    if g.opset < 12:
        g.node(op, [x], two, ratio=0.3)
    else:
        g.node(op, [x, *([scalar(g, 0.4)] if g.chance(0.6) else [])], two)


def _swapped(g: Graph, a: str, b: str) -> list[str]:
    return [b, a] if g.chance(0.5) else [a, b]


@makes("Add", "Sub", "Mul", weight=2.0)
def arithmetic(g: Graph, op: str) -> None:
    x = g.operand(NUMBERS)
    g.one(op, *_swapped(g, x, x if g.chance(0.05) else g.like(x)))


@makes("Div", "Mod")
def division(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, *INTS), where=lambda v: v.dtype.kind != "i" or v.any())
    y = g.like(x)
    value, floating = g.values[y], g.values[x].dtype.kind == "f"
    if floating:
        y = g.one("Add", g.one("Abs", y, keep=False), scalar(g, 0.75), keep=False)
    else:  # division of integers by zero is undefined
        y = g.constant(np.where(value == 0, 3, value).astype(value.dtype))
    g.one(op, x, y, **({"fmod": int(floating or g.chance(0.3))} if op == "Mod" else {}))


@makes("Max", "Min", "Sum", "Mean")
def variadic(g: Graph, op: str) -> None:
    types = (np.float32, np.float32, *INTS) if op in ("Max", "Min") else np.float32
    x = g.operand(types)
    operands = [x] + [g.like(x) for _ in range(g.pick([0, 1, 1, 2]))]
    g.random.shuffle(operands)
    g.one(op, *operands)


@makes("Pow")
def power(g: Graph, op: str) -> None:
    x = g.operand()
    exponent = g.pick([2.0, 2.0, 3.0, 0.5, 1.0, 0.0, -1.0, -0.5, 4.0])
    if g.chance(0.15):
        g.one(op, scalar(g, g.pick([2.0, 2.718281828, 0.5])), x)
        return
    if exponent not in (2.0, 3.0, 4.0, 1.0, 0.0) or g.chance(0.2):
        x = g.one("Add", g.one("Abs", x, keep=False), scalar(g, 0.25), keep=False)
    g.one(op, x, scalar(g, exponent, g.pick([np.float32, np.float32, np.int64])))


@makes("PRelu")
def prelu(g: Graph, op: str) -> None:
    x = g.operand(rank=(1, 4))
    shape = g.values[x].shape
    slope = [n if g.chance(0.5) else 1 for n in shape][g.integer(0, len(shape) - 1) :]
    g.one(op, x, g.weights(*slope))


@makes("And", "Or", "Xor", weight=0.4)
def logical(g: Graph, op: str) -> None:
    x = g.operand(np.bool_)
    g.one(op, *_swapped(g, x, g.like(x)))


@makes("BitwiseAnd", "BitwiseOr", "BitwiseXor", weight=0.3)
def bitwise(g: Graph, op: str) -> None:
    x = g.operand((np.int32, np.int64, np.uint8))
    g.one(op, *_swapped(g, x, g.like(x)))


@makes("BitShift", weight=0.4)
def shift(g: Graph, op: str) -> None:
    dtype = g.pick([np.uint8, np.uint32, np.uint64])
    x = g.operand(dtype)
    g.one(op, x, g.like(x), direction=g.pick(["LEFT", "RIGHT"]))


@makes("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", weight=0.5)
def comparison(g: Graph, op: str) -> None:
    x = g.operand(NUMBERS)
    g.one(op, *_swapped(g, x, g.like(x)))


@makes("Where", weight=1.5)
def where(g: Graph, op: str) -> None:
    x = g.operand((np.float32, np.float32, np.int64, np.int32))
    fill = g.pick([0, -10000.0, 1])
    y = scalar(g, fill, g.values[x].dtype) if g.chance(0.4) else g.like(x)
    g.one(op, g.like(x, np.dtype(np.bool_)), *_swapped(g, x, y))
