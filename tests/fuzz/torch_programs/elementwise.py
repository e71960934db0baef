"""Steps that work element by element."""

import torch

from .choices import Choices

_SMOOTH = (
    *("exp", "sigmoid", "tanh", "erf", "sin", "cos", "atan", "asinh", "abs", "neg", "square"),
    *("relu", "sign", "reciprocal", "rsqrt", "sqrt", "log", "log1p", "expm1", "log2", "tan"),
    *("floor", "ceil", "round", "trunc", "isnan", "isinf", "isfinite", "logical_not", "sinh"),
)
_ACTIVATIONS = (
    *("gelu(%s)", "gelu(%s, approximate='tanh')", "silu(%s)", "mish(%s)", "softplus(%s)"),
    *("elu(%s)", "elu(%s, 0.7)", "selu(%s)", "celu(%s, 1.3)", "hardswish(%s)", "hardsigmoid(%s)"),
    *("hardtanh(%s, -0.5, 2)", "relu6(%s)", "leaky_relu(%s, 0.2)", "logsigmoid(%s)"),
    *("softsign(%s)", "tanhshrink(%s)", "hardshrink(%s)", "softshrink(%s)", "softplus(%s, 2, 5)"),
    *("threshold(%s, 0.1, 2.0)", "sigmoid(%s)", "tanh(%s)"),
)
_BINARY = (
    *("%s + %s", "%s - %s", "%s * %s", "%s / %s", "%s // %s", "%s %% %s", "%s < %s", "%s == %s"),
    *("%s != %s", "%s >= %s", "torch.maximum(%s, %s)", "torch.minimum(%s, %s)"),
    *("torch.fmod(%s, %s)", "torch.remainder(%s, %s)", "torch.div(%s, %s, rounding_mode='trunc')"),
    *("torch.atan2(%s, %s)", "torch.where(%s > 0, %s, 0.5)", "torch.logical_and(%s, %s)"),
    *("torch.add(%s, %s, alpha=2)", "torch.sub(%s, %s, alpha=0.5)", "torch.logaddexp(%s, %s)"),
    *("%s & %s", "%s | %s", "torch.true_divide(%s, %s)", "torch.logical_xor(%s, %s)"),
)
_SCALAR = (
    *("%s + %s", "%s - %s", "%s * %s", "%s / %s", "%s // %s", "%s %% %s", "%s < %s", "%s >= %s"),
    *("%s == %s", "torch.fmod(%s, %s)", "%s.clamp(min=%s)", "%s.clamp(max=%s)", "%s != %s"),
    *("torch.rsub(%s, %s)", "torch.div(%s, %s, rounding_mode='floor')"),
)


def unary(c: Choices) -> str | None:
    return (x := c.value()) and f"torch.{c.rng.choice(_SMOOTH)}({x})"


def activation(c: Choices) -> str | None:
    return (x := c.floating()) and "F." + c.rng.choice(_ACTIVATIONS) % x


def binary(c: Choices) -> str | None:
    return (x := c.value()) and c.rng.choice(_BINARY) % (x, c.value())


def scalar(c: Choices) -> str | None:
    if (x := c.value()) is None:
        return None
    if c.chance(0.2):
        return c.rng.choice(["%s - %s", "%s / %s", "%s * %s", "%s < %s"]) % (c.number(), x)
    if c.chance(0.2):
        return f"{x} ** {c.rng.choice(['2', '3', '0.5', '-1', '0', '1.5'])}"
    return c.rng.choice(_SCALAR) % (x, c.number())


def where(c: Choices) -> str | None:
    if (condition := c.value(lambda v: v.dtype == torch.bool)) is None:
        return None
    other = c.number() if c.chance(0.4) else c.value()
    return f"torch.where({condition}, {c.value()}, {other})"


def cast(c: Choices) -> str | None:
    kind = c.rng.choice(["float()", "long()", "int()", "bool()", "double()", "half()"])
    return (x := c.value()) and f"{x}.{kind}"
