"""The sizes of an exported program as sizes of a Relax module.

torch.export states the shape of every value as formulas of symbols, one symbol per dynamic
dimension of an input. This module converts these formulas to TVM's expressions: whole numbers to
int64, others to float64, in which Python computes them, comparisons to bool. Knows no operator.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import reduce
from typing import Any

import sympy
import torch
from torch.utils._sympy import functions as torch_sympy
from tvm import tirx

from ...errors import QuakeError


class Sizes:
    """The variables of a module, one for each symbol that is an input's dimension.

    Attributes
    ----------
    variables : dict of str to tirx.Var
    multiples : dict of sympy.Symbol to (int, sympy.Symbol)
        A symbol of which an input's dimension is a multiple: the factor, and the variable of that
        dimension.
    formulas : dict of sympy.Symbol to sympy.Expr
        The variable of a dimension that another formula of dimensions gives, and the formula.
    """

    def __init__(self) -> None:
        self.variables: dict[str, tirx.Var] = {}
        self.multiples: dict[sympy.Symbol, tuple[int, sympy.Symbol]] = {}
        self.formulas: dict[sympy.Symbol, sympy.Expr] = {}

    def of_input(self, name: str, shape: Iterable[int | torch.SymInt]) -> list[Any]:
        """The sizes of an input: numbers and variables, also for dimensions like 4*s and s + t."""
        found: list[Any] = []
        for axis, size in enumerate(shape):
            self._divide(_formula(size))
            formula = self.in_dimensions(_formula(size))
            if formula.is_Integer:
                found.append(int(formula))
                continue
            if not isinstance(formula, sympy.Symbol):
                dimension = sympy.Symbol(f"{name}_{axis}", integer=True, positive=True)
                self.formulas[dimension] = _formula(size)
                formula = dimension
            variable = tirx.Var(str(formula), "int64")
            found.append(self.variables.setdefault(str(formula), variable))
        return found

    def check_formulas(self) -> None:
        """Check, once all inputs are known, that inputs have every size in the formulas.

        Raises
        ------
        QuakeError
            For a formula with a size that no input has as a dimension.
        """
        for dimension, formula in self.formulas.items():
            symbols = map(str, self.in_dimensions(formula).free_symbols)
            if not self.variables.keys() >= set(symbols):
                raise QuakeError(
                    f"dimension {str(dimension)!r} of an input is {formula}, and not every size in "
                    "it is a dimension of an input; export the program with this one fixed"
                )

    def _divide(self, formula: sympy.Expr) -> None:
        """Let a dimension like 4*s be a variable, and s a quarter of it."""
        match formula:
            case sympy.Mul(args=(sympy.Integer() as factor, sympy.Symbol() as symbol)) if (
                factor > 1 and str(symbol) not in self.variables
            ):
                whole = sympy.Symbol(f"{symbol}_by_{factor}", integer=True, positive=True)
                self.multiples.setdefault(symbol, (int(factor), whole))

    def in_dimensions(self, formula: sympy.Expr, whole: bool = False) -> sympy.Expr:
        """The formula in symbols that are dimensions of inputs.

        Parameters
        ----------
        formula : sympy.Expr
        whole : bool, optional
            Whether a symbol becomes a quotient that is rounded down, as Python's ``//``. Otherwise
            it becomes a product with a fraction, which cancels where the symbol is multiplied.
        """
        quotient = torch_sympy.FloorDiv if whole else sympy.Mul
        return formula.xreplace(
            {
                symbol: quotient(dimension, factor if whole else sympy.Rational(1, factor))
                for symbol, (factor, dimension) in self.multiples.items()
            }
        )

    def of(self, size: int | torch.SymInt | torch.SymFloat | torch.SymBool) -> Any:
        """A number or truth that follows from sizes, as such or as an expression of the variables.

        Raises
        ------
        QuakeError
            For a size that depends on data, and for formulas that TVM does not support.
        """
        return self._convert(self.in_dimensions(_formula(size)))

    def shape(self, shape: Iterable[int | torch.SymInt]) -> list[Any]:
        """Every size of a shape, converted by :meth:`of`."""
        return [self.of(size) for size in shape]

    def _convert(self, formula: sympy.Expr) -> Any:
        if formula.is_Integer:
            return int(formula)
        if isinstance(formula, sympy.Symbol):
            if str(formula) not in self.variables:
                raise QuakeError(
                    f"the size {formula} of a value depends on data; only sizes that follow from "
                    "the inputs' shapes can be compiled"
                )
            return self.variables[str(formula)]
        if isinstance(formula, sympy.Float):
            return tirx.const(float(formula), "float64")
        if formula.is_Mul and formula.args[0].is_Rational and not formula.args[0].is_Integer:
            # Half of a dimension 2*s: as a size it is whole.
            numerator, denominator = formula.args[0].as_numer_denom()
            product = self._convert(sympy.Mul(numerator, *formula.args[1:]))
            return tirx.floordiv(product, int(denominator))
        build = _BUILD.get(type(formula))
        if build is None or any(_is_fraction(a) for a in formula.args):
            raise QuakeError(f"a value's size is {formula}, which cannot be compiled")
        ratio = _ratio(formula)
        if ratio is not None:
            size = self._convert(formula.args[0].args[1].args[0])
            return tirx.floordiv(size * ratio.numerator, ratio.denominator)
        return build(*map(self._convert, formula.args))


def _formula(size: int | torch.SymInt | torch.SymFloat | torch.SymBool) -> sympy.Expr:
    return sympy.Integer(size) if isinstance(size, int) else size.node.expr


def _is_fraction(number: sympy.Expr) -> bool:
    """Whether the formula is a number that sympy has as a fraction, or that is none."""
    return number.is_Number and not isinstance(number, sympy.Integer | sympy.Float)


def _ratio(formula: sympy.Expr) -> Fraction | None:
    """The factor of a size that is a short fraction times another, rounded down; else None.

    Such a product is exact in float64, so whole numbers give the same, and TVM can reason on them.
    """
    if not isinstance(formula, torch_sympy.TruncToInt | torch_sympy.FloorToInt):
        return None
    match formula.args[0]:
        case sympy.Mul(args=(sympy.Float() as factor, torch_sympy.ToFloat())) if factor > 0:
            ratio = Fraction(float(factor))
            return ratio if max(ratio.numerator, ratio.denominator) <= _LONGEST else None
    return None


def _power(base: Any, exponent: Any) -> Any:
    root = getattr(exponent, "value", None)
    if root in (0.5, -0.5):
        root_of = tirx.sqrt(_float(base))
        return root_of if root == 0.5 else 1.0 / root_of
    if not isinstance(exponent, int) or exponent < 1:
        raise QuakeError(f"a size is raised to the power {exponent}, which cannot be compiled")
    return reduce(lambda x, y: x * y, [base] * exponent)


def _float(number: Any) -> Any:
    return tirx.Cast("float64", tirx.const(0, "int64") + number) if _is_whole(number) else number


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) or "int" in str(number.ty.dtype)


def _quotient(x: Any, y: Any) -> Any:
    return _float(x) / _float(y)


def _rounded(rounding: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: tirx.Cast("int64", rounding(_float(x)))


def _compared(build: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compared(x: Any, y: Any) -> Any:
        if _is_whole(x) and _is_whole(y):
            zero = tirx.const(0, "int64")
            return build(zero + x, zero + y)
        return build(_float(x), _float(y))

    return compared


# The largest numerator and denominator of a factor that is computed in whole numbers.
_LONGEST = 2**20
_BUILD: Mapping[type, Any] = {
    sympy.Add: lambda *terms: sum(terms[1:], terms[0]),
    sympy.Mul: lambda *factors: reduce(lambda x, y: x * y, factors),
    sympy.Pow: _power,
    torch_sympy.PowByNatural: _power,
    torch_sympy.FloatPow: _power,
    torch_sympy.OpaqueUnaryFn_sqrt: lambda x: tirx.sqrt(_float(x)),
    torch_sympy.ToFloat: _float,
    torch_sympy.IntTrueDiv: _quotient,
    torch_sympy.FloatTrueDiv: _quotient,
    torch_sympy.TruncToInt: _rounded(tirx.trunc),
    torch_sympy.FloorToInt: _rounded(tirx.floor),
    torch_sympy.CeilToInt: _rounded(tirx.ceil),
    torch_sympy.RoundToInt: _rounded(tirx.nearbyint),
    torch_sympy.FloorDiv: lambda x, y: tirx.floordiv(x, y),
    torch_sympy.CleanDiv: lambda x, y: tirx.floordiv(x, y),
    torch_sympy.Mod: lambda x, y: tirx.floormod(x, y),
    torch_sympy.PythonMod: lambda x, y: tirx.floormod(x, y),
    torch_sympy.Max: lambda *sizes: reduce(tirx.max, sizes),
    torch_sympy.Min: lambda *sizes: reduce(tirx.min, sizes),
    sympy.Eq: _compared(tirx.EQ),
    sympy.Ne: _compared(tirx.NE),
    sympy.Gt: _compared(tirx.GT),
    sympy.Ge: _compared(tirx.GE),
    sympy.Lt: _compared(tirx.LT),
    sympy.Le: _compared(tirx.LE),
    sympy.And: tirx.all,
    sympy.Or: tirx.any,
    sympy.Not: tirx.Not,
}
