"""Groups of nodes as exporters or people write them: gates, norms, softmaxes, attention, guards."""

import numpy as np

from .graph import Graph
from .makers import makes, scalar


@makes("silu", "gelu", "gelu_tanh", "gelu_quick", "mish", "sigmoid", "tanh", "softplus", weight=1.2)
def nonlinearity(g: Graph, name: str) -> None:
    """A nonlinearity in several nodes."""
    x = g.operand(rank=(0, 4))

    def do(operator: str, *operands: str | float) -> str:
        named = [scalar(g, o) if isinstance(o, float) else o for o in operands]
        if operator in ("Add", "Mul") and g.chance(0.5):
            named.reverse()
        return g.one(operator, *named, keep=g.chance(0.1))

    if name == "silu":
        y = do("Mul", x, do("Sigmoid", x))
    elif name == "gelu_quick":
        y = do("Mul", x, do("Sigmoid", do("Mul", x, 1.702)))
    elif name == "mish":
        y = do("Mul", x, do("Tanh", do("Softplus", x)))
    elif name == "gelu":
        root = do("Div", x, 2**0.5) if g.chance(0.5) else do("Mul", x, 0.5**0.5)
        y = do("Add", do("Erf", root), 1.0)
        y = do("Mul", do("Mul", x, y), 0.5) if g.chance(0.5) else do("Mul", do("Mul", x, 0.5), y)
    elif name == "gelu_tanh":
        cube = do("Pow", x, 3.0) if g.chance(0.5) else do("Mul", do("Mul", x, x), x)
        inner = do("Mul", do("Add", x, do("Mul", cube, 0.044715)), (2 / np.pi) ** 0.5)
        y = do("Mul", do("Mul", x, 0.5), do("Add", do("Tanh", inner), 1.0))
    elif name == "sigmoid":
        y = do("Div", 1.0, do("Add", do("Exp", do("Neg", x)), 1.0))
    elif name == "softplus":
        y = do("Log", do("Add", do("Exp", x), 1.0))
    else:
        double = do("Sigmoid", do("Mul", x, 2.0))
        y = do("Sub", do("Mul", double, 2.0), 1.0)
    if y not in g.pool:
        g.pool.append(y)


@makes("guard", weight=1.0)
def guard(g: Graph, name: str) -> None:
    """A nonlinearity with a clamp, a threshold or a small constant around it."""
    x = g.operand(rank=(0, 4))
    inner = g.one(g.pick(["Sigmoid", "Tanh", "Exp", "Softplus", "Erf"]), x)
    way = g.pick(["min", "max", "tiny", "where", "log"])
    if way in ("min", "max"):
        limit = scalar(g, g.pick([1000.0, 0.5, 20.0, 1e30, -0.25, 0.999]))
        g.one("Min" if way == "min" else "Max", inner, limit)
    elif way == "where":
        far = g.one("Greater", x, scalar(g, g.pick([100.0, 20.0, 2.0])), keep=False)
        g.one("Where", far, *([x, inner] if g.chance(0.5) else [inner, scalar(g, 0.0)]))
    else:
        small = scalar(g, g.pick([1e-20, 1e-12, 1e-8, 1e-5]))
        y = g.one("Add", g.one("Abs", inner, keep=False), small, keep=False)
        g.one(*(["Log", y] if way == "log" else ["Div", scalar(g, 1.0), y]))


def _axes(g: Graph, op: str, x: str, axes: list[int], **options: object) -> str:
    if g.opset >= (13 if op == "ReduceSum" else 18):
        return g.one(op, x, g.ints(*axes), keep=False, **options)
    return g.one(op, x, axes=axes, keep=False, **options)


@makes("layer norm", "rms norm", weight=1.0)
def norm(g: Graph, name: str) -> None:
    """A norm in several nodes."""
    x = g.operand(rank=(1, 4))
    value = g.values[x]
    axes = [-1] if g.chance(0.7) or value.ndim < 3 else g.pick([[1], [2], [-2, -1]])
    d = x
    if name == "layer norm":
        d = g.one("Sub", x, _axes(g, "ReduceMean", x, axes), keep=False)
    square = (
        g.one("Mul", d, d, keep=False)
        if g.chance(0.5)
        else g.one("Pow", d, scalar(g, 2.0), keep=False)
    )
    mean = _axes(g, "ReduceMean", square, axes)
    root = g.one("Sqrt", g.one("Add", mean, scalar(g, 1e-5), keep=False), keep=False)
    y = g.one("Div", d, root)
    if axes == [-1]:
        y = g.one("Mul", y, g.weights(value.shape[-1]))
        if g.chance(0.5):
            g.one("Add", y, g.weights(value.shape[-1]))


@makes("softmax", "logsumexp", weight=0.8)
def softmax(g: Graph, name: str) -> None:
    """A softmax or a log-sum-exp in several nodes, with or without subtracting the maximum."""
    x = g.operand(rank=(1, 4), where=lambda v: v.size)
    axis = g.integer(-g.values[x].ndim, -1) if g.chance(0.4) else -1
    safe = g.chance(0.6)
    top = _axes(g, "ReduceMax", x, [axis], keepdims=1)
    e = g.one("Exp", g.one("Sub", x, top, keep=False) if safe else x, keep=False)
    total = _axes(g, "ReduceSum", e, [axis], keepdims=1)
    if name == "logsumexp":
        y = g.one("Log", total)
        if safe:
            g.one("Add", y, top)
        return
    if g.chance(0.2):
        total = g.one("Add", total, scalar(g, g.pick([1e-20, 1e-8, 1.0])), keep=False)
    y = g.one("Div", e, total)
    if g.chance(0.2):
        g.one("Log", y)


@makes("attention", weight=2.0)
def attention(g: Graph, name: str) -> None:
    """Attention in several nodes, with scale and mask."""
    batch, heads, rows, columns, depth, out = (
        g.integer(1, 2), g.integer(1, 3), g.pick([1, 2, 5, 7, 16, 17]), g.pick([1, 3, 5, 8, 17]),
        g.pick([1, 3, 4, 8, 16]), g.pick([1, 4, 5, 8, 16]),
    )  # fmt: skip
    lead = () if g.chance(0.2) else (batch, heads)
    q = g.input(np.float32, (*lead, rows, depth))
    order = [*range(len(lead)), len(lead) + 1, len(lead)]
    if g.chance(0.5):
        k = g.input(np.float32, (*lead, depth, columns))
    else:
        k = g.one("Transpose", g.input(np.float32, (*lead, columns, depth)), perm=order, keep=False)
    v = g.input(np.float32, (*lead, columns, out))
    if g.chance(0.3):
        q = g.one("Mul", q, scalar(g, depth**-0.5), keep=False)
    scores = g.one("MatMul", q, k, keep=g.chance(0.1))
    if g.chance(0.5):
        scores = (
            g.one("Div", scores, scalar(g, depth**0.5), keep=False)
            if g.chance(0.5)
            else g.one("Mul", scores, scalar(g, depth**-0.5), keep=False)
        )
    shape = [n if g.chance(0.6) else 1 for n in g.values[scores].shape]
    way = g.random.random()
    if way < 0.5:
        masked = g.pick([-1e9, -10000.0, -np.inf, -3e38])
        mask = np.where(g.random.random(shape) < 0.3, masked, 0).astype(np.float32)
        if masked == -np.inf and not g.special:
            mask[..., 0] = 0  # every row has a finite score
        m = g.constant(mask) if g.chance(0.4) else g.input(np.float32, shape, mask)
        scores = g.one("Add", *([scores, m] if g.chance(0.7) else [m, scores]), keep=False)
    elif way < 0.65:
        mask = g.constant(g.random.random(shape) < 0.7)
        scores = g.one("Where", mask, scores, scalar(g, g.pick([-1e9, -1.0])), keep=False)
    p = g.one("Softmax", scores, axis=-1, keep=g.chance(0.1))
    y = g.one("MatMul", p, v)
    if lead and g.chance(0.5):
        y = g.one("Transpose", y, perm=[0, 2, 1, 3])
        g.one("Reshape", y, g.ints(0, 0, heads * out))
