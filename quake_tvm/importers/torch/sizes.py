"""The sizes of an exported program as sizes of a Relax module.

torch.export states the shape of every value as formulas of symbols, one symbol per dynamic
dimension of an input. This module converts these formulas to TVM's expressions. Knows no operator.
"""

from collections.abc import Iterable, Mapping
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
    """

    def __init__(self) -> None:
        self.variables: dict[str, tirx.Var] = {}

    def of_input(self, name: str, shape: Iterable[int | torch.SymInt]) -> list[Any]:
        """The sizes of an input. Symbols become variables.

        Raises
        ------
        QuakeError
            For a dimension that is a formula, such as 4*s.
        """
        found: list[Any] = []
        for size in shape:
            formula = _formula(size)
            if isinstance(formula, sympy.Symbol):
                variable = tirx.Var(str(formula), "int64")
                found.append(self.variables.setdefault(str(formula), variable))
            elif formula.is_Integer:
                found.append(int(formula))
            else:
                raise QuakeError(
                    f"a dimension of input {name!r} is {formula}: only sizes that are fixed or "
                    "free of conditions can be compiled; export the program with this one fixed"
                )
        return found

    def of(self, size: int | torch.SymInt) -> Any:
        """A size as an int, or as a TVM expression of the variables.

        Raises
        ------
        QuakeError
            For a size that depends on data, and for formulas that TVM does not support.
        """
        return self._convert(_formula(size))

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
        build = _BUILD.get(type(formula))
        if build is None or any(a.is_Integer is False and a.is_Number for a in formula.args):
            raise QuakeError(f"a value's size is {formula}, which cannot be compiled")
        return build(*map(self._convert, formula.args))


def _formula(size: int | torch.SymInt) -> sympy.Expr:
    return size.node.expr if isinstance(size, torch.SymInt) else sympy.Integer(size)


def _power(base: Any, exponent: Any) -> Any:
    if not isinstance(exponent, int) or exponent < 1:
        raise QuakeError(f"a value's size is a power to {exponent}, which cannot be compiled")
    return reduce(lambda x, y: x * y, [base] * exponent)


_BUILD: Mapping[type, Any] = {
    sympy.Add: lambda *terms: sum(terms[1:], terms[0]),
    sympy.Mul: lambda *factors: reduce(lambda x, y: x * y, factors),
    sympy.Pow: _power,
    torch_sympy.FloorDiv: lambda x, y: tirx.floordiv(x, y),
    torch_sympy.CleanDiv: lambda x, y: tirx.floordiv(x, y),
    torch_sympy.Mod: lambda x, y: tirx.floormod(x, y),
    torch_sympy.PythonMod: lambda x, y: tirx.floormod(x, y),
    torch_sympy.Max: lambda *sizes: reduce(tirx.max, sizes),
    torch_sympy.Min: lambda *sizes: reduce(tirx.min, sizes),
}
