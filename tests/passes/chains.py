"""Random chains around a nonlinearity with guards planted in them, and their values.

The values are computed with mpmath, whose numbers neither overflow nor cancel, and with float64
limited to float32's range. Neither uses the library's own evaluation of chains.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace

import mpmath
import numpy as np
from tvm import relax
from tvm.relax import op

from quake_tvm.numerics import reference
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.passes.graph import Graph, Site
from quake_tvm.passes.relax.graph import op_name
from tests.helpers import Formula, c, once

LARGEST, SMALLEST = 2.0**128 * (1 - 2.0**-25), 2.0**-150


@dataclass(frozen=True)
class Planted:
    """A chain and its known properties.

    Attributes
    ----------
    name : str
        The form and the guards.
    build : callable
        Builds the chain from a Relax tensor.
    operator : str
        The nonlinearity's name in the registry.
    whole : bool
        Whether all guards, if any, are outside of the nonlinearity.
    """

    name: str
    build: Formula
    operator: str
    whole: bool


def _magnitude(rng: random.Random) -> float:
    """A number between float32's smallest and largest, most often one that people use."""
    kind = rng.random()
    if kind < 0.4:
        return 10.0 ** -rng.randint(3, 44)
    if kind < 0.6:
        return rng.choice([1.0, 6.0, 20.0, 50.0, 88.0, 100.0, 1000.0, 1e4, 65504.0, 3e38])
    if kind < 0.75:
        return 1 - 2.0 ** -rng.randint(1, 24)
    return 10.0 ** rng.uniform(-40, 38)


def _threshold(rng: random.Random) -> float:
    size = 10.0 ** rng.uniform(-3, 5) if rng.random() < 0.7 else _magnitude(rng)
    return size * rng.choice([1, -1])


def _guard(rng: random.Random, x: relax.Expr) -> tuple[str, Callable[[relax.Expr], relax.Expr]]:
    """A step that changes most values little."""
    number, other = float(np.float32(_magnitude(rng))), rng.choice([0.0, 1.0, 7.0, -1.0])
    at = float(np.float32(_threshold(rng)))
    width = float(np.float32(abs(at) * 10.0 ** -rng.randint(1, 6)))
    sign = rng.choice([1, -1])

    def limited(e: relax.Expr) -> relax.Expr:
        e = once(e)
        return op.where(op.greater(e, c(number)), c(other), e)

    guards = {
        f"+{sign * number:g}": lambda e: e + c(sign * number),
        f"max({sign * number:g})": lambda e: op.maximum(e, c(sign * number)),
        f"min({sign * number:g})": lambda e: op.minimum(c(sign * number), e),
        f"x>{at:g}?{other}": lambda e: op.where(op.greater(x, c(at)), c(other), e),
        f"x<={at:g}?{other}": lambda e: op.where(op.less_equal(x, c(at)), c(other), e),
        f"|x-{at:g}|<{width:g}?{other}": lambda e: op.where(
            op.less(op.abs(x - c(at)), c(width)), c(other), e
        ),
        f"value>{number:g}?{other}": limited,
    }
    name = rng.choice(list(guards))
    return name, guards[name]


CONSUMERS: dict[str, Formula] = {
    "": lambda y: y,
    "log": op.log,
    "reciprocal": lambda y: c(1) / y,
    "sqrt": op.sqrt,
    "square": op.square,
    "minus": op.negative,
    "complement": lambda y: c(1) - y,
}


_COMPARISONS = {f"relax.{name}" for name in ("greater", "greater_equal", "less", "less_equal")}


def _calls(expr: relax.Expr) -> list[relax.Call]:
    """The steps of a formula that is not bound to variables yet, except comparisons."""
    if not isinstance(expr, relax.Call):
        return []
    inner = [call for arg in expr.args for call in _calls(arg)]
    return inner if op_name(expr) in _COMPARISONS else [expr, *inner]


def _replaced(expr: relax.Expr, old: relax.Call, new: relax.Expr) -> relax.Expr:
    if not isinstance(expr, relax.Call):
        return expr
    if expr.same_as(old):
        return new
    args = [_replaced(arg, old, new) for arg in expr.args]
    return relax.Call(expr.op, args, expr.attrs, expr.ty_args)


def planted(seed: int, forms: dict[str, dict[str, Formula]]) -> Planted:
    """The chain of a seed: a form, guards inside, outside or before it, and a consumer."""
    rng = random.Random(seed)
    operator = rng.choice(list(forms))
    form = rng.choice(list(forms[operator]))
    where = rng.choice(["inside", "inside", "outside", "front", "both", "none"])
    consumer = rng.choice(list(CONSUMERS))
    state = rng.getrandbits(64)
    names: list[str] = []

    def build(x: relax.Expr) -> relax.Expr:
        choice = random.Random(state)
        names.clear()

        def guarded(e: relax.Expr) -> relax.Expr:
            name, step = _guard(choice, x)
            names.append(name)
            return step(e)

        y = forms[operator][form](once(guarded(x)) if where == "front" else x)
        if where in ("inside", "both"):
            step = choice.choice(_calls(y))
            y = _replaced(y, step, guarded(step))
        if where in ("outside", "both"):
            y = guarded(y)
        return CONSUMERS[consumer](y)

    x = relax.Var("x", relax.TensorType((1,), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(build(x)))
    name = f"{seed}: {operator} {form} {where} {names} {consumer}"
    return Planted(name, build, operator, where in ("outside", "front", "none"))


# The value of a step: in mpmath's numbers, precise enough for every float32 next to 1, and in
# float64.

_MP = mpmath.MPContext()
_MP.prec = 400
_REAL = SimpleNamespace(
    **{name: getattr(_MP, name) for name in ("exp", "expm1", "log1p", "tanh", "erf", "erfc")},
    sqrt=_MP.sqrt,
    pi=_MP.pi,
    abs=abs,
    maximum=max,
    where=lambda condition, a, b: a if condition else b,
    divide=lambda a, b: a / b if b else (_MP.inf * _MP.sign(a) if a else _MP.nan),
    log=lambda a: _MP.log(a) if a > 0 else (_MP.nan if a else -_MP.inf),
    root=lambda a: _MP.sqrt(a) if a >= 0 else _MP.nan,
    exp2=lambda a: _MP.power(2, a),
)
FLOAT = SimpleNamespace(**vars(reference.NUMPY), divide=np.divide, log=np.log, root=np.sqrt)
EXPONENTIAL = {"exp", "tanh", "sigmoid", "erf", "nn.gelu", "nn.gelu_tanh", "nn.silu", "nn.selu"}


def _step(m: SimpleNamespace, kind: str, call: relax.Call, args: list) -> object:
    """The value of one operator, computed with a namespace of functions."""
    if kind in EXPONENTIAL:
        return of_registry(m, kind.removeprefix("nn."), *args)
    if kind == "nn.softplus":
        beta, threshold = float(call.attrs.beta), float(call.attrs.threshold)
        (x,) = args
        return m.where(beta * x > threshold, x, reference.softplus(m, x, beta))
    algebra = {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": m.divide,
        "power": lambda a, b: a ** int(b),
        "square": lambda a: a * a,
        "negative": lambda a: -a,
        "abs": m.abs,
        "maximum": m.maximum,
        "minimum": lambda a, b: -m.maximum(-a, -b),
        "nn.relu": lambda a: m.maximum(a, 0.0),
        "log": m.log,
        "sqrt": m.root,
        "greater": lambda a, b: a > b,
        "greater_equal": lambda a, b: a >= b,
        "less": lambda a, b: a < b,
        "less_equal": lambda a, b: a <= b,
        "where": m.where,
    }
    return algebra[kind](*args)


def of_registry(m: SimpleNamespace, name: str, x: object, **parameters: float) -> object:
    """An operator's exact value, computed with a namespace of functions."""
    row = OPERATORS[name]
    return row.reference(m, x, **{**row.parameters, **parameters})


def value(
    graph: Graph,
    expr: relax.Expr,
    known: dict[relax.Expr, object],
    m: SimpleNamespace,
    number: Callable[[float], object],
    after: Callable[[str, object], object] = lambda kind, y: y,
) -> object:
    """The value of an expression, given the values in ``known``, to which results are added.

    Parameters
    ----------
    number : callable
        Converts a constant.
    after : callable
        Converts the value of each step, given the step's kind.
    """
    constant = None if expr in known else graph.constant(expr)
    if constant is not None:
        return number(float(constant.flat[0]))
    if expr not in known:
        call = graph.value(expr)
        if not isinstance(call, relax.Call):
            return value(graph, call, known, m, number, after)
        args = [value(graph, arg, known, m, number, after) for arg in call.args]
        kind = graph.kind(call)
        known[expr] = after(kind, _step(m, kind, call, args))
    return known[expr]


def in_range(kind: str, y: np.ndarray) -> np.ndarray:
    """A value limited to float32's range."""
    y = np.where(np.abs(y) > LARGEST, np.copysign(np.inf, y), y)
    return np.where(np.abs(y) < SMALLEST, 0.0, y)


def points(graph: Graph, exprs: Iterable[relax.Expr]) -> np.ndarray:
    """float32 inputs of every size, and near every constant of the steps."""
    sizes = [0.0, 1e-45, 1e-38, *(10.0 ** np.arange(-40, 38.5, 6.1)), np.finfo("float32").max]
    sizes += [
        0.3,
        0.9,
        2.2,
        4.5,
        7.9,
        15.5,
        21.0,
        33.0,
        47.0,
        66.0,
        86.9,
        89.5,
        102.0,
        150.0,
        760.0,
    ]
    constants = (graph.constant(arg) for e in exprs for arg in graph.values[e].args)
    met = np.unique([abs(float(k.flat[0])) for k in constants if k is not None]).astype(np.float32)
    with np.errstate(over="ignore"):
        neighbours = [np.nextafter(met, np.float32(end)) for end in (0, np.inf)]
        near = np.concatenate([np.float32(sizes), met, *neighbours, met * np.float32(1.0001)])
    near = near[np.isfinite(near)]
    return np.unique(np.concatenate([near, -near])).astype(float)


def wrong(graph: Graph, site: Site) -> str | None:
    """A point where a site's operator differs from the region's value, None if there is none.

    Where the region's value is not a number in float32's range, any value of the operator is right.
    """
    x = points(graph, site.region)
    (source,) = site.args
    with np.errstate(all="ignore"):
        expected = of_registry(FLOAT, site.operator, x, **site.attributes)
        narrow = value(graph, site.var, {source: x}, FLOAT, np.float64, in_range)
        near = np.abs(narrow - in_range("", expected)) <= 1e-4 * np.abs(expected) + 1e-12
        agrees = near | (narrow == in_range("", expected)) | ~np.isfinite(narrow)
    if not np.all(agrees):
        at = np.argmin(agrees)
        return f"float32 {narrow[at]}, not {expected[at]} at {x[at]!r}"
    for at in map(_MP.mpf, x[np.isfinite(narrow)]):
        exact = of_registry(_REAL, site.operator, at, **site.attributes)
        found = [value(graph, site.var, {source: at}, _REAL, _MP.mpf)]
        allowed = abs(exact) * 2.0**-24 + 2.0**-149
        if abs(found[0] - exact) <= allowed:
            continue
        # A constant is within half an ulp of the intended number, or within two after folding.
        for sign in (1, -1):

            def meant(number: float, sign: int = sign) -> mpmath.mpf:
                short = number == np.rint(number * 64) / 64
                return _MP.mpf(number) * (1 if short else 1 + sign * 2.0**-22)

            found.append(value(graph, site.var, {source: at}, _REAL, meant))
        if not min(found) - allowed <= exact <= max(found) + allowed:
            return f"{mpmath.nstr(found[0], 9)}, not {mpmath.nstr(exact, 9)} at {float(at)!r}"
    return None
