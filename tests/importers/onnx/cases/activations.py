"""Activations, softmaxes."""

import numpy as np

from .case import Case, c, f, i


def activations() -> list[Case]:
    x = f(2, 3, 4) * 3
    cases = [
        c("Elu", x, alpha=0.3),
        c("Selu", x, alpha=1.1, gamma=2.0),
        c("Celu", x, alpha=0.4),
        c("HardSigmoid", x, alpha=0.3, beta=0.4),
        c("HardSwish", x),
        c("HardSwish", x.astype(np.float64)),
        c("LeakyRelu", x, alpha=0.2),
        c("Gelu", x),
        c("Gelu", x, approximate="tanh"),
        c("Mish", x),
        c("Swish", x, alpha=0.7),
        c("ThresholdedRelu", x, alpha=0.7),
        c("Shrink", x, bias=0.3, lambd=0.8),
        c("ThresholdedRelu", x.astype("float64"), alpha=0.7),
        c("SwiGLU", x, f(2, 3, 4), alpha=1.5),
        c("LeakyRelu", x.astype("float64"), alpha=0.2),
        c("Elu", x.astype("float64"), alpha=0.3),
        c("HardSigmoid", x.astype("float64"), alpha=0.3, beta=0.4),
        c("Shrink", i(9, dtype="int32"), bias=0.0, lambd=3.0),
        c("Shrink", i(9, dtype="int64"), bias=1.5, lambd=2.5),
        c("Shrink", i(9, low=0, dtype="uint8"), bias=1.5, lambd=2.5),
    ]
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
