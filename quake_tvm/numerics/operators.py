"""The registry of operators, one row per operator. Tests, bounds, tables and passes use it.

To add an operator, add its formula to :mod:`formulas`, its float64 form to :mod:`reference` and one
row here. Then ``quake-tvm accuracy --exhaustive --update NAME`` proves its bounds. Walks no module.

Error contract: let y be the exact value of the operator at a float32 input and q the result of the
lowered operator. Then ``|q - y| <= relative*|y| + absolute``. ``bounds.json`` holds the two numbers
by operator and rung, with the input that comes closest to the bound.

In half precision the same holds for the inputs of the format, with the numbers of
:mod:`half_bounds`. A result may then be infinite if the exact value is so near to the format's
largest number that the error in float32 reaches beyond it.

No finite input gives NaN. A result is 0 only where y is 0, or where |y| is below the smallest
normal float32, 2^-126 (times |x| where the operator multiplies by x), because smaller exponentials
are flushed. A program that divides by such a result, or takes its logarithm, gets an infinity or
NaN where a subnormal float32 would have given a number. log_softmax is never above 0.
"""

import json
import math
from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import QuakeError
from ..support import given
from ..support.whole_file import whole_file
from ..tvm_version import Expr
from . import formulas, half_bounds, reference, row_bounds
from .ladder import METHODS
from .number_formats import COMPUTED, FORMATS, NumberFormat

NAN, INF = math.nan, math.inf
BOUNDS = "bounds.json"
# What the file holds of a Bound.
_NUMBERS = {"relative", "absolute", "witness", "monotone"}


@dataclass(frozen=True)
class Operator:
    """One exponential nonlinearity.

    Attributes
    ----------
    name : str
        The name in ``only=``, ``skip=``, reports and :func:`bound`.
    formula : str
        The formula as text, for people.
    expression, reference : callable
        The float32 TIR on a rung, and the exact formula. None for operators over rows.
    parameters : mapping
        The formula's parameters and their defaults.
    special : mapping
        The values at NaN and at the infinities. Empty for operators over rows.
    rising : bool
        Whether the exact function is monotone. Only then is monotonicity recorded for a rung.
    exponential : bool
        Whether models write the operator with an exponential. If not, every chain of element-wise
        operators is compared with it.
    any_parameter : bool
        Whether a chain with any value of the parameter is the operator. If not, only one with the
        default is.
    absorbs : set of str
        Steps on the operand that the operator's kernel computes itself: ``"scale"``, ``"shift"``,
        ``"mask"``, which is a second operand.
    reduces : bool
        Whether an operator over rows has one result for each row, not one for each element.
    row_bound : callable
        (rung, largest length of a row) to the bound. None for element-wise operators.
    largest_factor : float
        What multiplies a result that is flushed to zero, at the most.
    tail : float
        The absolute term of the bound, in units of the relative error of exp on the same rung. 0 if
        the absolute term is what is flushed.
    """

    name: str
    formula: str
    expression: Callable[..., Expr] | None = None
    reference: Callable[..., Any] | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    special: Mapping[float, float] = field(default_factory=dict)
    rising: bool = True
    exponential: bool = True
    any_parameter: bool = True
    absorbs: Set[str] = frozenset()
    reduces: bool = False
    row_bound: Callable[[str, int], row_bounds.RowBound] | None = None
    largest_factor: float = 1.0
    tail: float = 0.0

    @property
    def elementwise(self) -> bool:
        """Whether an output element depends on one input element only."""
        return self.expression is not None


def _unary(
    name: str,
    formula: str,
    low: float,
    high: float,
    function: str = "",
    **fields: Any,
) -> Operator:
    """A row whose formulas are called ``function``, by default as the operator."""
    return Operator(
        name,
        formula,
        getattr(formulas, function or name),
        getattr(reference, function or name),
        special={-INF: low, INF: high, NAN: NAN},
        **fields,
    )


# For |x| < 128, beyond which no factor of x is flushed.
_TIMES_X: dict[str, Any] = {"rising": False, "largest_factor": 128.0}
# The relative error of a GELU's tail is exp's down to this part of its size.
_GELU: dict[str, Any] = {"rising": False, "tail": 2.0**-10}


OPERATORS = {
    row.name: row
    for row in (
        _unary("exp", "e^x", 0.0, INF, absorbs={"scale", "shift"}),
        _unary("exp2", "2^x", 0.0, INF),
        _unary("sigmoid", "1/(1 + e^-x)", 0.0, 1.0, absorbs={"scale"}),
        _unary("tanh", "tanh x", -1.0, 1.0),
        _unary("erf", "erf x", -1.0, 1.0),
        _unary("silu", "x sigmoid(beta x)", 0.0, INF, parameters={"beta": 1.0}, **_TIMES_X),
        _unary("gelu", "x/2 (1 + erf(x/sqrt 2))", 0.0, INF, **_GELU),
        _unary("gelu_tanh", "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))", 0.0, INF, **_GELU),
        _unary(
            "gelu_quick",
            "x sigmoid(1.702 x)",
            0.0,
            INF,
            function="silu",
            parameters={"beta": 1.702},
            any_parameter=False,
            **_TIMES_X,
        ),
        _unary("softplus", "log(1 + e^(beta x))/beta", 0.0, INF, parameters={"beta": 1.0}),
        _unary("mish", "x tanh(log(1 + e^x))", 0.0, INF, **_TIMES_X),
        _unary("elu", "x > 0 ? x : alpha (e^x - 1)", -1.0, INF, parameters={"alpha": 1.0}),
        _unary(
            "selu",
            "gamma (x > 0 ? x : alpha (e^x - 1))",
            -1.7580993408473766,
            INF,
            parameters={"alpha": 1.6732632423543772, "gamma": 1.0507009873554805},
        ),
        _unary("celu", "x > 0 ? x : alpha (e^(x/alpha) - 1)", -1.0, INF, parameters={"alpha": 1.0}),
        Operator(
            "softmax",
            "e^(scale x + mask) / sum e^(scale x + mask)",
            absorbs={"scale", "mask"},
            row_bound=row_bounds.softmax,
        ),
        Operator("log_softmax", "x - log(sum e^x)", row_bound=row_bounds.log_softmax),
        Operator("logsumexp", "log(sum e^x)", reduces=True, row_bound=row_bounds.logsumexp),
    )
}
_BUILT_IN = len(OPERATORS)


@dataclass(frozen=True)
class Bound:
    """The proven error of an operator on a rung: ``|q - y| <= relative*|y| + absolute``.

    Attributes
    ----------
    operator, method : str
    relative, absolute : float
        The two numbers of the error contract.
    witness : float or None
        The float32 input that comes closest to the bound (None for operators over rows).
    monotone : bool or None
        Whether a larger input never gives a smaller result: over all float32, or for operators over
        rows among the elements of a row. None for operators that are not monotone themselves.
    probability : float or None
        softmax only: the largest ``|q - y|`` of any probability.
    dtype : str
        The format of input and result.
    """

    operator: str
    method: str
    relative: float
    absolute: float
    witness: float | None = None
    monotone: bool | None = None
    probability: float | None = None
    dtype: str = COMPUTED

    @property
    def error(self) -> float:
        """The number that ``max_error=`` is compared with: the larger of relative and absolute."""
        return max(self.relative, self.absolute)

    def _repr_html_(self) -> str:
        facts = {k: v for k, v in asdict(self).items() if v is not None}
        texts = {
            k: f"{v:.4g}" if isinstance(v, float) else escape(str(v)) for k, v in facts.items()
        }
        rows = "".join(f"<tr><th>{k}</th><td>{text}</td></tr>" for k, text in texts.items())
        return f"<table>{rows}</table>"


@cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads(resources.files("quake_tvm.numerics").joinpath(BOUNDS).read_text())


def register(row: Operator, bounds: Mapping[str, Mapping[str, Any]]) -> None:
    """Add a user-defined element-wise operator. Must be called before anything is compiled.

    Parameters
    ----------
    row : Operator
        With ``expression``, ``reference`` and ``special``.
    bounds : mapping
        For each rung the numbers of :class:`Bound`: ``relative``, ``absolute``, ``witness``,
        ``monotone``. They are believed. :func:`quake_tvm.accuracy.sweep` measures them.

    Raises
    ------
    QuakeError
        If the name is taken, a rung has no bound, the operator is not element-wise, or its
        reference uses a function that :mod:`reference` lacks.
    """
    if row.name in OPERATORS:
        raise QuakeError(f"there is an operator {row.name!r} already")
    if not row.elementwise or row.reference is None or len(row.special) != 3:
        raise QuakeError(f"{row.name!r} needs expression, reference, and special for ±inf and NaN")
    if missing := [method for method in METHODS if method not in bounds]:
        raise QuakeError(f"{row.name!r} has no bound on {', '.join(missing)}")
    if wrong := [m for m in METHODS if set(bounds[m]) != _NUMBERS]:
        raise QuakeError(f"{row.name!r} on {wrong[0]}: a bound has {', '.join(sorted(_NUMBERS))}")
    try:
        row.reference(reference.NUMPY, np.zeros(1), **row.parameters)
    except AttributeError as error:
        if error.obj is not reference.NUMPY:
            raise
        known = ", ".join(sorted(vars(reference.NUMPY)))
        raise QuakeError(f"{row.name!r} needs {error.name}: references have only {known}") from None
    OPERATORS[row.name] = row
    _table()[row.name] = {method: dict(bounds[method]) for method in METHODS}


def extended() -> bool:
    """Whether there are user-defined operators."""
    return len(OPERATORS) > _BUILT_IN


def operator(name: str) -> Operator:
    """The registry's row for a name. Raises QuakeError for an unknown name."""
    if name not in OPERATORS:
        raise QuakeError(f"unknown operator {name!r}; choose from: {', '.join(OPERATORS)}")
    return OPERATORS[name]


def bound(name: str, method: str = "quake4", dtype: str = COMPUTED) -> Bound:
    """The proven error bound of an operator.

    Parameters
    ----------
    name : str
        An operator of the registry, for example ``"softmax"``.
    method : str
        A rung, ``"quake1"`` to ``"quake5"``.
    dtype : str
        ``"float32"``, ``"float16"`` or ``"bfloat16"``: the format of the input and of the result,
        which is computed in float32 and rounded once.

    Returns
    -------
    Bound

    Raises
    ------
    QuakeError
        For an unknown operator, method or dtype, and for an operator that is not proven yet.
    """
    given.choice(name, "operator", OPERATORS)
    given.choice(method, "method", METHODS)
    given.choice(dtype, "dtype", FORMATS)
    if dtype != COMPUTED:
        measured = half_bounds.of(name, method, dtype)
        if measured is None:
            return _rounded(bound(name, method), FORMATS[dtype])
        return Bound(name, method, **{k: measured[k] for k in _NUMBERS}, dtype=dtype)
    row_bound = OPERATORS[name].row_bound
    if row_bound is not None:
        return Bound(name, method, **row_bound(method, row_bounds.ROW))
    if method not in _table().get(name, {}):
        prove = f"`quake-tvm accuracy --exhaustive --update {name}` proves them"
        raise QuakeError(f"{name} has no bounds yet: {prove}")
    return Bound(name, method, **_table()[name][method])


def _rounded(single: Bound, to: NumberFormat) -> Bound:
    """The bound of results that are rounded to a format after they were computed in float32."""
    grown = 1 + to.rounding
    return replace(
        single,
        relative=single.relative * grown + to.rounding,
        absolute=single.absolute * grown + to.least,
        witness=None,
        probability=single.probability and single.probability * grown + to.rounding,
        dtype=to.name,
    )


def update_bounds(rows: list[Bound]) -> None:
    """Write measured bounds to ``bounds.json`` as proven (for developers: changes the package)."""
    path = Path(str(resources.files("quake_tvm.numerics").joinpath(BOUNDS)))
    table = json.loads(path.read_text())
    for row in rows:
        values = {k: v for k, v in asdict(row).items() if k in _NUMBERS}
        table.setdefault(row.operator, {})[row.method] = values
    with whole_file(path) as file:
        file.write_text(json.dumps(table, indent=1) + "\n")
    _table.cache_clear()


def within(name: str, max_error: float, dtype: str = COMPUTED) -> list[str]:
    """The rungs whose :attr:`Bound.error` is at most ``max_error``, the lowest first."""
    return [m for m in METHODS if bound(name, m, dtype).error <= max_error]
