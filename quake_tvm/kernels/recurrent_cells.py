"""The cells of recurrent layers: LSTM, GRU and RNN, for neighbouring units of one row.

A cell consists of parts. A part multiplies a vector by recurrent weights, which gives the sums of
its gates, and then runs a program on these sums. All but one part serve vectors that must be known
as a whole before the next product. Gates have the order of ONNX. Knows no loop and no layout.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..numerics.exp_bits import constant
from ..tvm_version import Expr, Stmt, fma, tir
from .gate_functions import GateFunction

# A unit's place in a vector to its value.
Value = Callable[[Expr], Expr]


class Units(Protocol):
    """What a program reads and writes: some neighbouring units of one row at one step."""

    def sum(self, gate: int) -> Value:
        """The sum of one of the part's gates, without an input if the part leaves it out."""

    def input(self, gate: int) -> Value:
        """A gate's product with the layer's input."""

    def state(self, number: int) -> Value:
        """A state before the step."""

    def kept(self, number: int) -> Value:
        """What an earlier part has kept."""

    def weight(self, name: str, gate: int) -> Value:
        """A weight for each unit: of ``"peepholes"`` or ``"bias"``."""

    def once(self, value: Value) -> tuple[list[Stmt], Value]:
        """Compute a vector once: the statements that store it, and the stored value."""

    def keep(self, number: int, value: Value) -> list[Stmt]:
        """Keep a vector for a later part."""

    def step(self, number: int, value: Value) -> list[Stmt]:
        """Give a state its value after the step."""


@dataclass(frozen=True)
class Part:
    """A product with recurrent weights, and what follows it.

    Attributes
    ----------
    gates : tuple of int
        The gates whose sums it computes.
    of : int or None
        What it multiplies: a kept vector, or None for the first state.
    from_input : tuple of bool
        Whether each gate's sum starts with the layer's input. It starts with 0 otherwise.
    program : callable
    projects : bool
        Whether the product is no gate's but the first state itself, of as many units as that has.
    """

    gates: tuple[int, ...]
    program: Callable[[Units], list[Stmt]]
    of: int | None = None
    from_input: tuple[bool, ...] = ()
    projects: bool = False


@dataclass(frozen=True)
class Cell:
    """What all cells have.

    Attributes
    ----------
    functions : sequence of GateFunction
    ieee : bool
        Whether NaN and infinities must be right.
    clip : float or None
        The sums that the functions are applied to are clipped to [-clip, clip].
    """

    functions: Sequence[GateFunction]
    ieee: bool = True
    clip: float | None = None

    # Vectors that the layer carries from step to step.
    states = 1

    @property
    def keeps(self) -> int:
        """The number of vectors that a step keeps from one part for another."""
        return 0

    @property
    def parts(self) -> Sequence[Part]:
        """The parts in their order."""
        raise NotImplementedError

    @property
    def gates(self) -> int:
        """The number of gates."""
        return sum(len(part.gates) for part in self.parts if not part.projects)

    @property
    def weights(self) -> Sequence[tuple[str, int]]:
        """The names of further weights, and how many gates have them."""
        return ()

    def apply(self, function: int, x: Expr) -> Expr:
        """One of the functions of a clipped sum."""
        if self.clip is not None:
            x = tir.min(constant(self.clip), tir.max(constant(-self.clip), x))
        return self.functions[function](x, self.ieee)


class Rnn(Cell):
    """h = f(sum)."""

    @property
    def parts(self) -> Sequence[Part]:
        """One part."""
        return (Part((0,), self._program, from_input=(True,)),)

    def _program(self, units: Units) -> list[Stmt]:
        return units.step(0, lambda u: self.apply(0, units.sum(0)(u)))


@dataclass(frozen=True)
class Gru(Cell):
    """h = (1 - z) n + z h, with n = g(sum), where the reset gate r multiplies h or its product.

    Attributes
    ----------
    reset_after : bool
        Whether r multiplies the product with h (``linear_before_reset``). The product's own bias is
        then a further weight.
    """

    reset_after: bool = False

    @property
    def keeps(self) -> int:
        """The update gate, and the reset states."""
        return 0 if self.reset_after else 2

    @property
    def parts(self) -> Sequence[Part]:
        """Two parts if the second product needs the reset states of all units."""
        if self.reset_after:
            return (Part((0, 1, 2), self._after, from_input=(True, True, False)),)
        return (
            Part((0, 1), self._gates, from_input=(True, True)),
            Part((2,), self._before, of=1, from_input=(True,)),
        )

    @property
    def weights(self) -> Sequence[tuple[str, int]]:
        """The product's own bias."""
        return (("bias", 1),) if self.reset_after else ()

    def _after(self, units: Units) -> list[Stmt]:
        def candidate(u: Expr) -> Expr:
            product = units.sum(2)(u) + units.weight("bias", 0)(u)
            return fma(self.apply(0, units.sum(1)(u)), product, units.input(2)(u))

        steps, z = units.once(lambda u: self.apply(0, units.sum(0)(u)))
        return [*steps, *self._mixed(units, z, candidate)]

    def _gates(self, units: Units) -> list[Stmt]:
        def reset(u: Expr) -> Expr:
            return self.apply(0, units.sum(1)(u)) * units.state(0)(u)

        return [*units.keep(0, lambda u: self.apply(0, units.sum(0)(u))), *units.keep(1, reset)]

    def _before(self, units: Units) -> list[Stmt]:
        return self._mixed(units, units.kept(0), units.sum(2))

    def _mixed(self, units: Units, z: Value, candidate: Value) -> list[Stmt]:
        def mixed(u: Expr) -> Expr:
            new = (constant(1) - z(u)) * self.apply(1, candidate(u))
            return fma(z(u), units.state(0)(u), new)

        return units.step(0, mixed)


@dataclass(frozen=True)
class Lstm(Cell):
    """c = f c + i g, h = o function(c), with gates i, o, f and g. c is not clipped.

    Attributes
    ----------
    coupled : bool
        Whether f is 1 - i (``input_forget``).
    peepholes : bool
        Whether c, times a weight, is added to the sums of i, o and f.
    projected : bool
        Whether h is multiplied by weights, which may give fewer units.
    """

    coupled: bool = False
    peepholes: bool = False
    projected: bool = False
    states = 2

    @property
    def keeps(self) -> int:
        """The vector that is projected."""
        return int(self.projected)

    @property
    def parts(self) -> Sequence[Part]:
        """One part, and the projection."""
        gates = Part((0, 1, 2, 3), self._program, from_input=(True,) * 4)
        projection = Part((0,), self._projection, of=0, from_input=(False,), projects=True)
        return (gates, projection) if self.projected else (gates,)

    @property
    def weights(self) -> Sequence[tuple[str, int]]:
        """The peepholes."""
        return (("peepholes", 3),) if self.peepholes else ()

    def _program(self, units: Units) -> list[Stmt]:
        def gate(number: int, c: Value) -> Value:
            """A gate's sum; c is the state that its peephole sees."""

            def value(u: Expr) -> Expr:
                total = units.sum(number)(u)
                if self.peepholes:
                    total = fma(units.weight("peepholes", number)(u), c(u), total)
                return self.apply(0, total)

            return value

        before = units.state(1)
        steps, i = units.once(gate(0, before))

        def forget(u: Expr) -> Expr:
            return constant(1) - i(u) if self.coupled else gate(2, before)(u)

        def cell(u: Expr) -> Expr:
            new = i(u) * self.apply(1, units.sum(3)(u))
            return fma(forget(u), before(u), new)

        more, c = units.once(cell)

        def hidden(u: Expr) -> Expr:
            return gate(1, c)(u) * self.functions[2](c(u), self.ieee)

        end = units.keep(0, hidden) if self.projected else units.step(0, hidden)
        return [*steps, *more, *units.step(1, c), *end]

    def _projection(self, units: Units) -> list[Stmt]:
        return units.step(0, units.sum(0))


_CELLS: dict[str, type[Cell]] = {"lstm": Lstm, "gru": Gru, "rnn": Rnn}


def cell(kind: str, functions: Sequence[Sequence[Any]], **options: Any) -> Cell:
    """A cell from plain numbers.

    Parameters
    ----------
    kind : {"lstm", "gru", "rnn"}
    functions : sequence of sequence
        The fields of each :class:`GateFunction`.
    **options
        The fields of the cell.
    """
    return _CELLS[kind]([GateFunction(*fields) for fields in functions], **options)
