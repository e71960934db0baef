"""Element-wise operators, of one or several inputs."""

import numpy as np

from .case import Case, K, a, c, f, i, s

_UNARY = "Abs Atan Ceil Cos Erf Exp Floor Neg Relu Round Sigmoid Sin Softplus Softsign Tan Tanh"
_POSITIVE = "Log Sqrt Reciprocal"


def elementwise() -> list[Case]:
    cases = [c(o, f(2, 3) * 2) for o in _UNARY.split()]
    cases += [c(o, np.abs(f(2, 3)) + 0.1) for o in _POSITIVE.split()]
    cases += [c(o, f(5) / 10) for o in ("Acos", "Asin", "Atanh")]
    cases += [c("Acosh", np.abs(f(5)) + 2), *(c(o, f(20)) for o in ("Asinh", "Cosh", "Sinh"))]
    cases += [c("Round", np.float32([0.5, 1.5, 2.5, -0.5, -1.5, -2.5]))]
    for dtype in ("int32", "int64", "int8"):
        cases += [c(o, i(4, dtype=dtype)) for o in ("Abs", "Neg", "Sign")]
    cases += [
        c("Abs", f(3, dtype="float64")),
        c("Sign", f(4)),
        c("Sign", i(4, low=0, high=2, dtype="uint8")),
        c("Relu", i(5, dtype="int32")),
    ]
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
    cases += [c(o, f(2, 3), K(np.full((1, 1), 0.5, "f4"))) for o in ("Max", "Min")]
    cases += [c("Max", K(np.full((1, 1, 1), 0.5, "f4")), f(2, 3), K(np.float32(-1)))]
    cases += [c("Clip", f(9) * 2, max=0.5, min=-1.0), c("Clip", f(9), max=0.5), c("Clip", f(9))]
    cases += [c("Clip", f(9) * 2, min=-0.5, until=10)]
    cases += [c("Clip", f(9) * 2, s(-1), s(0.5)), c("Clip", f(9), None, s(0.5))]
    cases += [c("Clip", f(9) * 2, np.float32(-1), np.float32(0.5)), c("Clip", f(9), s(-0.5))]
    cases += [c("Clip", i(9, dtype=d), s(-3, d), s(4, d), since=12) for d in ("int32", "int8")]
    cases += [c("Clip", f(9), s(1), s(-1))]  # the minimum above the maximum: the maximum wins
    special = np.float32([1, -np.inf, np.inf, np.nan, 0])
    pairs = [(special, special[::-1].copy()), (special, special[2:4, None]), (special, K(special))]
    cases += [c(o, *pair) for o in ("Max", "Min") for pair in pairs]
    cases += [c("IsNaN", special), c("IsInf", special)]
    cases += [c("IsInf", special, detect_negative=0), c("IsInf", special, detect_positive=0)]
    cases += [c("IsInf", special, detect_negative=0, detect_positive=0)]
    cases += [c("Where", f(2, 1, 3) > 0, f(4, 1), f(3)), c("Where", f(3) > 0, i(3), i(1))]
    cases += [c(o, f(), f(3)) for o in ("Add", "Div", "Max", "Less")]
    cases += [c(o, np.abs(f())) for o in ("Abs", "Relu", "Sqrt", "Sign")]
    cases += [c("Add", f(0, 3), f(3)), c("Relu", f(0)), c("Where", f() > 0, f(2), f())]
    half = f(2, 3, dtype="float16")
    cases += [c(o, half, half + 1) for o in ("Add", "Mul", "Max", "Pow", "Less")]
    cases += [c(o, half) for o in ("Relu", "Sigmoid", "Tanh", "Exp", "Erf", "Abs")]
    return cases
