"""Fold scales, shifts and masks in front of a ``quake`` operator into it.

softmax takes a scale and an additive mask (attention's), exp takes scale and shift, sigmoid a
positive scale. Only inputs that nothing else uses are folded, so no work is done twice.
"""

from dataclasses import replace

from .dialect import attributes_of, operator_of
from .graph import Expr, Graph, Site

# Far from zero, a shift in the constants would lose digits that x + shift keeps.
_LARGEST_SHIFT = 64.0
# Between these, a step that overflows leaves an exponential no other value than 0 or infinity, and
# what a step loses to underflow is nothing to an exponential.
_SMALLEST_SCALE, _LARGEST_SCALE = 1e-30, 1e30


def in_range(scale: float) -> bool:
    """Whether a factor may be folded."""
    return _SMALLEST_SCALE < abs(scale) < _LARGEST_SCALE


def _affine(graph: Graph, expr: Expr) -> tuple[Expr, float, float] | None:
    """(x, scale, shift) if ``expr`` is one affine step from x with splat constants."""
    call, name = graph.value(expr), graph.kind(graph.value(expr))
    if name == "negative":
        return call.args[0], -1.0, 0.0
    if name not in ("multiply", "divide", "add", "subtract"):
        return None
    left, right = call.args
    a, b = graph.scalar(left), graph.scalar(right)
    if b is not None and graph.same_shape(left, expr):
        return {
            "multiply": (left, b, 0.0),
            "divide": (left, 1 / b, 0.0) if b else None,
            "add": (left, 1.0, b),
            "subtract": (left, 1.0, -b),
        }[name]
    if a is not None and graph.same_shape(right, expr):
        return {
            "multiply": (right, a, 0.0),
            "divide": None,
            "add": (right, 1.0, a),
            "subtract": (right, -1.0, a),
        }[name]
    return None


def _mask(graph: Graph, expr: Expr) -> tuple[Expr, Expr] | None:
    """(logits, mask) if ``expr`` is their sum and has the logits' shape."""
    call = graph.value(expr)
    if graph.kind(call) != "add":
        return None
    left, right = call.args
    # Of two candidates the smaller is the mask.
    if graph.same_shape(left, expr) and graph.dtype(right) == "float32":
        return left, right
    if graph.same_shape(right, expr) and graph.dtype(left) == "float32":
        return right, left
    return None


def find(graph: Graph, exact: frozenset[Expr] = frozenset()) -> list[Site]:
    """The quake operators that can swallow their input's last steps, of which none is ``exact``."""
    return [site for root in graph.values if (site := _fold(graph, root, exact)) is not None]


def _fold(graph: Graph, root: Expr, exact: frozenset[Expr]) -> Site | None:
    call = graph.values[root]
    operator = operator_of(call)
    if operator not in ("softmax", "exp", "sigmoid"):
        return None
    attributes = attributes_of(call)
    region, args = {root}, list(call.args)
    numbers = attributes.numbers
    scale, shift = numbers.get("scale", 1.0), numbers.get("shift", 0.0)

    def private(expr: Expr) -> bool:
        inside = expr in graph.values and expr not in exact
        return inside and graph.only_used_by(expr, region)

    along_rows = operator == "softmax" and attributes.axis == len(graph.shape(root)) - 1
    if along_rows and len(args) == 1 and scale == 1.0 and private(args[0]):
        parts = _mask(graph, args[0])
        if parts is not None and graph.scalar(parts[1]) is None:
            region.add(args[0])
            args = list(parts)
    while private(args[0]):
        step = _affine(graph, args[0])
        if step is None:
            break
        x, factor, summand = step
        if not in_range(scale * factor):
            break
        if not abs(shift + scale * summand) <= _LARGEST_SHIFT:  # nor NaN
            break
        if operator != "exp" and (summand != 0 or factor < 0):
            break
        region.add(args[0])
        args[0], shift, scale = x, shift + scale * summand, scale * factor
    if len(region) == 1:
        return None
    folded = {"scale": scale} | ({"shift": shift} if operator == "exp" else {})
    attributes = replace(attributes, numbers={**numbers, **folded})
    return Site(root, operator, tuple(args), "", frozenset(region), attributes.to_attrs())
