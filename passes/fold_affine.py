"""Fold scales, shifts and masks in front of a ``quake`` operator into the operator.

softmax takes a scale and an additive mask (attention's), exp takes a scale and a shift, sigmoid
takes a positive scale. Inputs that something else uses are not folded, so nothing is computed
twice.
"""

from dataclasses import replace

from quake_tvm.numerics.operators import OPERATORS

from .dialect import attributes_of, operator_of
from .graph import Expr, Graph, Site

# With a larger shift, adding it in the operator's constants loses digits that x + shift keeps.
_LARGEST_SHIFT = 64.0
# Between these limits, if a step overflows, the exponential is 0 or infinite anyway, and if a step
# underflows, the exponential does not change.
_SMALLEST_SCALE, _LARGEST_SCALE = 1e-30, 1e30


def in_range(scale: float) -> bool:
    """Whether a factor may be folded into a scale."""
    return _SMALLEST_SCALE < abs(scale) < _LARGEST_SCALE


def _affine(graph: Graph, expr: Expr) -> tuple[Expr, float, float] | None:
    """(x, scale, shift) if ``expr`` is one affine step from x by constants of equal elements."""
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
    """(logits, mask) if ``expr`` is their sum and has the shape of the logits."""
    call = graph.value(expr)
    if graph.kind(call) != "add":
        return None
    left, right = call.args
    # The logits have the shape of the sum. If both operands have it, the right one is the mask.
    if graph.same_shape(left, expr) and graph.dtype(right) == "float32":
        return left, right
    if graph.same_shape(right, expr) and graph.dtype(left) == "float32":
        return right, left
    return None


def find(graph: Graph, exact: frozenset[Expr] = frozenset()) -> list[Site]:
    """The quake operators that can absorb the last steps of their input.

    Steps in ``exact`` stay.
    """
    return [site for root in graph.values if (site := _fold(graph, root, exact)) is not None]


def _fold(graph: Graph, root: Expr, exact: frozenset[Expr]) -> Site | None:
    call = graph.values[root]
    operator = operator_of(call)
    absorbs = OPERATORS[operator].absorbs if operator else frozenset()
    if not operator or not absorbs:
        return None
    attributes = attributes_of(call)
    region, args = {root}, list(call.args)
    numbers = attributes.numbers
    scale, shift = numbers.get("scale", 1.0), numbers.get("shift", 0.0)

    def private(expr: Expr) -> bool:
        inside = expr in graph.values and expr not in exact
        return inside and graph.only_used_by(expr, region)

    shape = graph.shape(root)
    along_rows = "mask" in absorbs and shape is not None and attributes.axis == len(shape) - 1
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
        if "shift" not in absorbs and (summand != 0 or factor < 0):
            break
        region.add(args[0])
        args[0], shift, scale = x, shift + scale * summand, scale * factor
    if len(region) == 1:
        return None
    folded = {"scale": scale} | ({"shift": shift} if "shift" in absorbs else {})
    attributes = replace(attributes, numbers={**numbers, **folded})
    return Site(root, operator, tuple(args), "", frozenset(region), attributes.to_attrs())
