"""Steps that a random torch program is made of: expressions over values that it already has.

Each maker takes a choice of random things and the values so far, and returns the text of an
expression, or None where no value fits. Whether the expression is valid decides torch, which runs
it at once: a step that torch refuses is thrown away. Knows no compiler.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

# The text of an expression over the values, and of the modules that it needs.
Maker = Callable[["Choices"], str | None]


@dataclass
class Choices:
    """What a maker draws from.

    Attributes
    ----------
    rng : random.Random
    values : dict of name to tensor
        Inputs and results so far, the newest last.
    modules : list of str
        The constructors of the modules of the program; makers append to it.
    """

    rng: random.Random
    values: dict[str, torch.Tensor]
    modules: list[str] = field(default_factory=list)

    def value(self, fits: Callable[[torch.Tensor], bool] = lambda _: True) -> str | None:
        """A value that fits, mostly a new one."""
        names = [name for name, value in self.values.items() if fits(value)]
        if not names:
            return None
        return names[-1] if self.rng.random() < 0.5 else self.rng.choice(names)

    def floating(self, rank: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> str | None:
        return self.value(lambda v: v.is_floating_point() and v.dim() in rank)

    def shape(self, name: str) -> list[int]:
        return list(self.values[name].shape)

    def axis(self, name: str) -> int:
        rank = max(self.values[name].dim(), 1)
        return self.rng.randrange(-rank, rank)

    def axes(self, name: str) -> list[int]:
        rank = max(self.values[name].dim(), 1)
        axes = self.rng.sample(range(rank), self.rng.randint(1, rank))
        return [a - rank if self.rng.random() < 0.5 else a for a in axes]

    def module(self, constructor: str) -> str:
        self.modules.append(constructor)
        return f"self.m{len(self.modules) - 1}"

    def number(self) -> str:
        return self.rng.choice(["2", "-1", "3", "0.5", "1.5", "-2.5", "1", "0", "True", "0.1"])

    def chance(self, share: float = 0.5) -> bool:
        return self.rng.random() < share


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
_REDUCTIONS = (
    *("sum(%s, %s)", "mean(%s, %s)", "amax(%s, %s)", "amin(%s, %s)", "logsumexp(%s, %s)"),
    *("std(%s, %s)", "var(%s, %s, correction=0)", "any(%s, %s)", "all(%s, %s)"),
)
_ROWS = (
    *("softmax(%s, %s)", "log_softmax(%s, %s)", "cumsum(%s, %s)", "argmax(%s, %s)"),
    *("argmin(%s, %s)", "max(%s, %s)[0]", "min(%s, %s)[1]", "sort(%s, %s, stable=True)[0]"),
    *("prod(%s, %s)", "argsort(%s, %s, stable=True)", "flip(%s, (%s,))", "cumprod(%s, %s)"),
)
_RESIZE = (
    *("size=%s, mode='nearest'", "size=%s, mode='bilinear'", "size=%s, mode='bicubic'"),
    *("size=%s, mode='bilinear', align_corners=True", "size=%s, mode='nearest-exact'"),
    *("size=%s, mode='bilinear', antialias=True", "size=%s, mode='area'"),
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


def reduction(c: Choices) -> str | None:
    if (x := c.value()) is None:
        return None
    text = "torch." + c.rng.choice(_REDUCTIONS) % (x, c.axes(x))
    return text[:-1] + ", keepdim=True)" if c.chance() else text


def row(c: Choices) -> str | None:
    return (x := c.value()) and "torch." + c.rng.choice(_ROWS) % (x, c.axis(x))


def norm(c: Choices) -> str | None:
    order = c.rng.choice(["1", "2", "float('inf')", "3"])
    return (x := c.floating()) and f"torch.linalg.vector_norm({x}, {order}, {c.axes(x)})"


def slices(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dim() > 0)) is None:
        return None
    parts = []
    for size in c.shape(x):
        start = c.rng.choice(["", "0", "1", "-3", str(size // 2), "2"])
        stop = c.rng.choice(["", "-1", str(size), str(max(size - 2, 1)), "5", "100"])
        step = c.rng.choice(["", "", "", "2", "3"])
        parts.append(str(c.rng.randrange(-size, size)) if size and c.chance(0.1) else
                     f"{start}:{stop}" + (f":{step}" if step else ""))  # fmt: skip
    return f"{x}[{', '.join(parts)}]"


def view(c: Choices) -> str | None:
    if (x := c.value()) is None:
        return None
    total = math.prod(c.shape(x))
    first = c.rng.choice([n for n in range(1, total + 1) if total % n == 0] or [0])
    choices = [f"{x}.reshape({first}, -1)", f"{x}.reshape(-1)", f"{x}.flatten({c.axis(x)})"]
    choices += [f"{x}.unsqueeze({c.axis(x)})", f"{x}.squeeze()", f"{x}.squeeze({c.axis(x)})"]
    return c.rng.choice(choices)


def turn(c: Choices) -> str | None:
    if (x := c.value()) is None:
        return None
    rank = c.values[x].dim()
    order = c.rng.sample(range(rank), rank)
    return c.rng.choice([f"{x}.permute({order})", f"{x}.transpose({c.axis(x)}, {c.axis(x)})"])


def grow(c: Choices) -> str | None:
    if (x := c.value()) is None:
        return None
    rank = c.values[x].dim()
    shape = [n if n != 1 else c.rng.randint(1, 5) for n in c.shape(x)]
    choices = [f"{x}.expand({[2, *shape]})", f"{x}.expand({shape})"]
    choices += [f"{x}.repeat({[c.rng.randint(1, 3) for _ in range(rank + c.chance(0.2))]})"]
    choices += [f"{x}.roll({c.rng.randint(-3, 3)}, {c.axis(x)})", f"{x}.tril(1)", f"{x}.triu()"]
    choices += [f"torch.diagonal({x}, {c.rng.randint(-2, 2)}, {c.axis(x)}, {c.axis(x)})"]
    choices += [f"{x}.unfold({c.axis(x)}, 2, {c.rng.randint(1, 2)})"]
    return c.rng.choice(choices)


def pad(c: Choices) -> str | None:
    if (x := c.floating((1, 2, 3, 4))) is None:
        return None
    width = [c.rng.randint(-1, 3) for _ in range(2 * min(c.rng.randint(1, 2), c.values[x].dim()))]
    if c.chance(0.3):
        width = [abs(n) for n in width]
        return f"F.pad({x}, {width}, mode={c.rng.choice(['reflect', 'replicate', 'circular'])!r})"
    return f"F.pad({x}, {width}, value={c.rng.choice(['0.0', '1.5', '-2.0'])})"


def join(c: Choices) -> str | None:
    if (x := c.value()) is None:
        return None
    same = c.value(lambda v: v.dim() == c.values[x].dim())
    kind = c.rng.choice(["cat", "cat", "stack"])
    others = [x, same, x][: c.rng.randint(1, 3)]
    return f"torch.{kind}([{', '.join(others)}], {c.axis(x)})"


def parts(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dim() > 0)) is None:
        return None
    kind = c.rng.choice(["split", "chunk"])
    return f"{x}.{kind}({c.rng.randint(1, 4)}, {c.axis(x)})[{c.rng.randrange(-1, 2)}]"


def index(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dim() > 0 and min(v.shape) > 0)) is None:
        return None
    axis = c.rng.randrange(c.values[x].dim())
    size = c.shape(x)[axis]
    some = [c.rng.randrange(size) for _ in range(c.rng.randint(1, 5))]
    lead = ":, " * axis
    signed = [k - size if c.chance(0.3) else k for k in some]
    choices = [f"{x}.index_select({axis}, torch.tensor({some}))"]
    choices += [f"{x}[{lead}torch.tensor({signed})]", f"{x}[{lead}torch.tensor([{signed}])]"]
    choices += [f"torch.gather({x}, {axis}, torch.argsort({x}, {axis}, stable=True))"]
    choices += [f"{x}.index_fill({axis}, torch.tensor({some}), 2)"]
    choices += [f"{x}.index_add({axis}, torch.tensor({[0] * size}), {x})"]
    choices += [f"{x}.masked_fill({x} > 0, {c.rng.choice(['0', '-1', '2'])})"]
    whole = c.value(lambda v: v.dtype == torch.int64)
    if whole:
        choices.append(f"F.embedding({whole}.abs() % {size}, {x}.flatten(1).float())")
    return c.rng.choice(choices)


def linear(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() > 0)) is None:
        return None
    bias = c.chance(0.7)
    module = c.module(f"nn.Linear({c.shape(x)[-1]}, {c.rng.randint(1, 40)}, bias={bias})")
    return f"{module}({x})"


def product(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dim() >= 2 and v.dtype != torch.bool)) is None:
        return None
    choices = [f"{x} @ {x}.mT", f"{x}.mT @ {x}", f"torch.einsum('...ij,...kj->...ik', {x}, {x})"]
    other = c.value(lambda v: v.dim() >= 1 and v.shape[0] == c.values[x].shape[-1])
    if other:
        choices.append(f"{x} @ {other}")
    choices.append(f"torch.addmm({x}[0, 0], {x}, {x}.T, beta=0.5, alpha=2)")
    return c.rng.choice(choices)


def convolution(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() in (3, 4))) is None:
        return None
    rank, channels = c.values[x].dim() - 2, c.shape(x)[1]
    groups = c.rng.choice([1, 1, channels])
    kernel, stride = c.rng.randint(1, 3), c.rng.randint(1, 2)
    options = f"stride={stride}, padding={c.rng.randint(0, 2)}, bias={c.chance()}"
    turned = c.chance(0.2)
    name = f"nn.Conv{'Transpose' if turned else ''}{rank}d"
    out = groups * c.rng.randint(1, 3)
    options += f", groups={groups}, dilation={c.rng.randint(1, 2)}"
    return c.module(f"{name}({channels}, {out}, {kernel}, {options})") + f"({x})"


def normalization(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() >= 2)) is None:
        return None
    shape, rank = c.shape(x), c.values[x].dim()
    last = shape[-c.rng.randint(1, min(2, rank - 1)) :]
    choices = [f"nn.LayerNorm({last})", f"nn.RMSNorm({last})", f"nn.GroupNorm(1, {shape[1]})"]
    choices.append(f"nn.LayerNorm({last}, elementwise_affine=False)")
    if rank in (3, 4):
        choices += [
            f"nn.BatchNorm{rank - 2}d({shape[1]})",
            f"nn.InstanceNorm{rank - 2}d({shape[1]})",
        ]
    return c.module(c.rng.choice(choices)) + f"({x})"


def pool(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() in (3, 4))) is None:
        return None
    rank = c.values[x].dim() - 2
    size, stride = c.rng.randint(1, 3), c.rng.randint(1, 3)
    padding, ceil = c.rng.randint(0, 1), c.chance(0.3)
    options = f"{size}, {stride}, {padding}, ceil_mode={ceil}"
    choices = [f"F.max_pool{rank}d({x}, {options})", f"F.avg_pool{rank}d({x}, {options})"]
    choices.append(f"F.avg_pool{rank}d({x}, {options}, count_include_pad=False)")
    choices.append(f"F.adaptive_avg_pool{rank}d({x}, {c.rng.randint(1, 4)})")
    return c.rng.choice(choices)


def resize(c: Choices) -> str | None:
    if (x := c.floating((4,))) is None:
        return None
    size = [c.rng.randint(1, 9), c.rng.randint(1, 9)]
    if c.chance(0.3):
        return f"F.interpolate({x}, scale_factor={c.rng.choice([2, 1.5, 0.7])}, mode='nearest')"
    return f"F.interpolate({x}, {c.rng.choice(_RESIZE) % size})"


def attention(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() in (3, 4))) is None:
        return None
    return f"F.scaled_dot_product_attention({x}, {x}, {x}, is_causal={c.chance()})"


def recurrent(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dtype == torch.float32 and v.dim() == 3)) is None:
        return None
    if c.shape(x)[0] > 6 or not c.chance(0.3):
        return None
    kind = c.rng.choice(["LSTM", "GRU", "RNN"])
    options = f"{c.rng.randint(1, 2)}, bidirectional={c.chance()}"
    return c.module(f"nn.{kind}({c.shape(x)[-1]}, 3, {options})") + f"({x})[0]"


def write(c: Choices) -> str | None:
    """A write in place, into a copy."""
    if (x := c.value(lambda v: v.dim() > 0)) is None:
        return None
    return c.rng.choice(
        [
            f"{x}.clone().add_({c.number()})",
            f"{x}.clone().clamp_(min=0)",
            f"torch.zeros_like({x}).copy_({x})",
            f"{x}.clone().fill_({c.number()})",
            f"torch.select_scatter({x}, {x}.select(0, 0), 0, -1)",
            f"torch.slice_scatter({x}, {x}[:1], 0, 0, 1)",
        ]
    )


def creation(c: Choices) -> str | None:
    if (x := c.value(lambda v: v.dim() > 0)) is None:
        return None
    n = c.shape(x)[-1]
    return c.rng.choice(
        [
            f"{x} + torch.arange({n})",
            f"{x} * torch.linspace(0, 1, {n})",
            f"torch.full_like({x}, {c.number()})",
            f"{x} * torch.ones({n}, dtype=torch.bool)",
            f"{x} + {x}.shape[-1]",
        ]
    )


# How often each is drawn.
MAKERS: dict[Maker, int] = {
    **{unary: 8, activation: 10, binary: 14, scalar: 12, where: 5, cast: 4, reduction: 7, row: 6},
    **{norm: 1, slices: 7, view: 5, turn: 4, grow: 4, pad: 4, join: 4, parts: 2, index: 5},
    **{linear: 7, product: 4, convolution: 5, normalization: 4, pool: 3, resize: 2, attention: 2},
    **{recurrent: 1, write: 2, creation: 2},
}
