"""Steps that combine the elements of rows: reductions, sorting, running sums."""

from .choices import Choices

_REDUCTIONS = (
    *("sum(%s, %s)", "mean(%s, %s)", "amax(%s, %s)", "amin(%s, %s)", "logsumexp(%s, %s)"),
    *("std(%s, %s)", "var(%s, %s, correction=0)", "any(%s, %s)", "all(%s, %s)"),
)
_ROWS = (
    *("softmax(%s, %s)", "log_softmax(%s, %s)", "cumsum(%s, %s)", "argmax(%s, %s)"),
    *("argmin(%s, %s)", "max(%s, %s)[0]", "min(%s, %s)[1]", "sort(%s, %s, stable=True)[0]"),
    *("prod(%s, %s)", "argsort(%s, %s, stable=True)", "flip(%s, (%s,))", "cumprod(%s, %s)"),
)


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
