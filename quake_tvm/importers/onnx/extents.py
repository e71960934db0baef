"""What is known of the extents that vary: proofs about them, and the conditions of a model.

Every variable in these expressions is the extent of a tensor, so it is at least 0. Knows no
operator and no node.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import lcm
from typing import TypeAlias

import tvm
import tvm_ffi
from tvm import tirx

# The longest axis.
FAR = 2**31 - 1
Extent: TypeAlias = int | tvm.ir.Expr
# The text of an extent, and its upper limit.
Limit = tuple[str, int]
# The most cases that a proof distinguishes.
_CASES = 64


class NeedsLimit(Exception):
    """The import must start again, with one more condition on the model's inputs."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.limit = limit


def number(value: int) -> tirx.IntImm:
    """A constant extent."""
    return tirx.const(value, "int64")


def plain(value: Extent) -> Extent:
    """An int if the expression is a constant, else the expression."""
    return int(value.value) if isinstance(value, tirx.IntImm) else value


def variables(*values: Extent) -> list[tirx.Var]:
    """The variables in some expressions."""
    found: dict[tirx.Var, None] = {}
    for value in values:
        if not isinstance(value, int):
            tvm_ffi.structural_walk(value, (tirx.Var, found.setdefault))
    return list(found)


class Extents:
    """Proofs about extents, for one import.

    Parameters
    ----------
    limits : sequence of Limit
        Extents that are limited by a condition of the model.
    ranges : mapping of dimension name to (least, most)
        The sizes that extents of inputs have.
    """

    def __init__(
        self, limits: Sequence[Limit] = (), ranges: Mapping[str, tuple[int, int]] | None = None
    ) -> None:
        self._analyzer = tvm.sym.Analyzer()
        self._bounds: dict[tirx.Var, tuple[int, int]] = {}
        self._limits = dict(limits)
        self._ranges = ranges or {}
        self._inputs: set[tirx.Var] = set()
        self.conditions = [f"{_python(text)} <= {most}" for text, most in limits]
        # Extents that a check of some tensor takes for equal.
        self.fitted: list[tuple[Extent, Extent]] = []

    def of_input(self, shape: Sequence[Extent]) -> None:
        """Learn the extents of an input, on which the model may state conditions."""
        self._inputs |= {n for n in shape if isinstance(n, tirx.Var)}

    def simplify(self, value: Extent) -> Extent:
        """An equal extent, an int if it does not vary."""
        if isinstance(value, int):
            return value
        self._learn(value)
        return plain(self._analyzer.simplify(value))

    def proves(self, condition: bool | tvm.ir.Expr) -> bool:
        """Whether a condition is known to hold for all extents."""
        if isinstance(condition, bool):
            return condition
        self._learn(condition)
        if self._analyzer.can_prove(condition):
            return True
        return all(self._analyzer.can_prove(case) for case in self._cases(condition))

    def decided(self, condition: bool | tvm.ir.Expr) -> bool | None:
        """Whether a condition holds; None if that depends on the extents."""
        if isinstance(condition, bool):
            return condition
        if self.proves(condition):
            return True
        return False if self.proves(tirx.Not(condition)) else None

    def same(self, a: Extent, b: Extent) -> bool:
        """Whether two extents are always equal."""
        if isinstance(a, int) and isinstance(b, int):
            return a == b
        return self.proves(tirx.EQ(expression(a), expression(b)))

    def least(self, a: Extent, b: Extent) -> Extent:
        """The smaller of two extents."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        for one, other in ((a, b), (b, a)):
            if self.is_limited(one, other) or self.proves(expression(one) <= other):
                return one
        return self.simplify(tirx.min(expression(a), expression(b)))

    def is_limited(self, value: Extent, most: Extent) -> bool:
        """Whether ``value <= most`` holds by a condition of the model."""
        if isinstance(value, int) or not isinstance(most, int):
            return False
        return self._limits.get(str(value), FAR + 1) <= most and self.may_limit(value)

    def most(self, a: Extent, b: Extent) -> Extent:
        """The larger of two extents."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        for one, other in ((a, b), (b, a)):
            if self.proves(expression(one) >= other):
                return one
        return self.simplify(tirx.max(expression(a), expression(b)))

    def count(self, start: Extent, end: Extent, step: int) -> Extent:
        """The number of integers from start up, or down, to end, without end."""
        reach = end - start if step > 0 else start - end
        return self.most(self.simplify((reach + (abs(step) - 1)) // abs(step)), 0)

    def at_most(self, value: Extent, most: int) -> bool:
        """Make ``value <= most`` a condition of the model; False if inputs cannot tell.

        The condition is checked before the model runs.
        """
        if isinstance(value, int):
            return value <= most
        return self.proves(value <= most) or self._state(value, f"<= {most}", 0, most)

    def at_least(self, value: Extent, least: int) -> bool:
        """Make ``value >= least`` a condition of the model; False if inputs cannot tell."""
        if isinstance(value, int):
            return value >= least
        return self.proves(value >= least) or self._state(value, f">= {least}", least, FAR)

    def _state(self, value: tvm.ir.Expr, limit: str, least: int, most: int) -> bool:
        if not self.may_limit(value):
            return False
        self.conditions.append(f"{_python(str(value))} {limit}")
        if isinstance(value, tirx.Var):
            low, high = self._bounds.get(value, (0, FAR))
            self._bounds[value] = max(low, least), min(high, most)
            self._bind(value)
        return True

    def may_limit(self, value: tvm.ir.Expr) -> bool:
        """Whether a condition on the extent can be stated in the names of the inputs' extents."""
        if not set(variables(value)) <= self._inputs:  # data may decide sizes of the same name
            return False
        try:
            names = compile(_python(str(value)), "condition", "eval").co_names
        except SyntaxError:
            return False
        return bool(names) and set(names) <= {v.name for v in self._inputs}

    def fit(self, a: Extent, b: Extent) -> None:
        """Restart the import if two extents are equal under a condition that it can assume.

        An extent that a table limits is ``min(extent, size)``. Where a tensor of this extent meets
        one of the full extent, the model needs the extent to be within the table.

        Raises
        ------
        NeedsLimit
            With that condition.
        """
        for one, other in ((a, b), (b, a)):
            if not isinstance(one, tirx.Min):
                continue
            for whole, size in ((one.a, one.b), (one.b, one.a)):
                fits = isinstance(size, tirx.IntImm) and size.value > 1 and self.same(whole, other)
                known = str(whole) in self._limits
                if fits and not known and self.may_limit(whole):
                    raise NeedsLimit((str(whole), int(size.value)))
        self.fitted.append((a, b))

    def state_fitted(self) -> None:
        """Make the equality of fitted extents a condition of the model, where inputs can tell.

        A tensor's check is lost if the tensor's extents are used and its elements are not.
        """
        for pair in self.fitted:
            if all(isinstance(n, int) or self.may_limit(n) for n in pair):
                text = " == ".join(_python(str(n)) for n in pair)
                self.conditions += [] if text in self.conditions else [text]

    def _learn(self, value: tvm.ir.Expr) -> None:
        for variable in variables(value):
            if variable not in self._bounds:
                own = self._ranges if variable in self._inputs else {}
                self._bounds[variable] = own.get(variable.name, (0, FAR))
                self._bind(variable)

    def _bind(self, variable: tirx.Var) -> None:
        low, high = self._bounds[variable]
        reach = tvm.ir.Range.from_min_extent(number(low), number(high - low + 1))
        self._analyzer.bind(variable, reach, allow_override=True)

    def _cases(self, condition: tvm.ir.Expr) -> Iterator[tvm.ir.Expr]:
        """The condition for each remainder of the extents by the divisors in it."""
        divisors = _divisors(condition)
        shares = {v: lcm(*(d for d, held in divisors if v in held)) for v in variables(condition)}
        shares = {v: n for v, n in shares.items() if n > 1}
        count = 1
        for n in shares.values():
            count *= n
        if not shares or count > _CASES:
            yield tirx.const(False)
            return
        wholes = {v: tirx.Var(f"{v.name}_share", "int64") for v in shares}
        self._learn(sum(wholes.values(), number(0)))
        for rest in product(*(range(n) for n in shares.values())):
            values = {v: wholes[v] * n + r for (v, n), r in zip(shares.items(), rest, strict=True)}
            yield tvm_ffi.structural_map(condition, (tirx.Var, lambda v, to=values: to.get(v, v)))


def _divisors(condition: tvm.ir.Expr) -> list[tuple[int, list[tirx.Var]]]:
    """The constant divisors in a condition, with the variables in what they divide."""
    found = []

    def visit(e: tvm.ir.Expr) -> None:
        if isinstance(e.b, tirx.IntImm):
            found.append((abs(int(e.b.value)), variables(e.a)))

    tvm_ffi.structural_walk(condition, ((tirx.FloorDiv, tirx.FloorMod), visit))
    return found


def expression(value: Extent) -> tvm.ir.Expr:
    """The extent as an expression."""
    return number(int(value)) if isinstance(value, int) else value


def _python(text: str) -> str:
    """An expression of TVM's as Python."""
    return re.sub(r"T\.int64\((-?\d+)\)", r"\1", text)
