"""Steps that move elements: views, slices, joins, pads, places, writes."""

import math

import torch

from .choices import Choices


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


def write(c: Choices) -> str | None:
    """A write in place, to a copy."""
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
