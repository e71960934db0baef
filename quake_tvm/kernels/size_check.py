"""The operator ``quake_tvm.held``: a tensor that nothing uses before checks have passed.

The checks compare sizes that must fit each other at run time. Sizes that do not fit end the run
with an error. Where sizes are known to fit there is no check. Knows no operator that needs one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tvm
from tvm import relax, tirx

from ..errors import QuakeError
from ..tvm_version import make_attrs, register_op
from .index_check import Places, Size, checked

HELD = "quake_tvm.held"
# A size, and its upper limit.
Pair = tuple[Size, Size]


def equal(a: Size, b: Size) -> list[Pair]:
    """Two pairs that together say that two sizes are equal."""
    return [(a, b), (b, a)]


@dataclass(frozen=True)
class Need:
    """A condition on sizes that an operator needs.

    Attributes
    ----------
    within : list of pairs of int or Expr
        The first size of each pair must not exceed the second.
    user : str
        The operator's name, for the error message.
    problem : str
        The error message if the condition does not hold.
    """

    within: list[Pair]
    user: str
    problem: str

    def unproven(self) -> "Need":
        """The part of the condition that is not known to hold at compile time.

        Raises
        ------
        QuakeError
            If some of it never holds.
        """
        analyzer, found = tvm.sym.Analyzer(), []
        for small, large in self.within:
            difference = analyzer.simplify(tirx.const(0, "int64") + small - large)
            if not isinstance(difference, tirx.IntImm):
                found.append((small, large))
            elif difference.value > 0:
                raise QuakeError(f"{self.user}: {self.problem}")
        return Need(found, self.user, self.problem)


def held(builder: relax.BlockBuilder, tensor: relax.Expr, needs: Sequence[Need]) -> relax.Expr:
    """The tensor after run-time checks of all needs that are not proven.

    If all needs are proven, the result is the tensor itself.

    Parameters
    ----------
    builder : BlockBuilder
    tensor : Expr
    needs : sequence of Need

    Raises
    ------
    QuakeError
        For sizes that never fit.
    """
    zero = relax.const([0], "int64")
    checks = [
        checked(zero, [1], Places.FRONT, need.user, need.within, need.problem)
        for need in (n.unproven() for n in needs)
        if need.within
    ]
    if not checks:
        return tensor
    return after(builder, tensor, [builder.emit(check) for check in checks])


def after(
    builder: relax.BlockBuilder, tensor: relax.Expr, checks: Sequence[relax.Expr]
) -> relax.Expr:
    """The tensor, made to depend on these checks."""
    return builder.emit(relax.Call(tvm.ir.Op.get(HELD), [tensor, *checks], make_attrs()))


def padded(length: Size, before: int, after: int, mode: str) -> list[Pair]:
    """Conditions on an axis that is padded from its own elements; negative pads remove some.

    Parameters
    ----------
    length : int or Expr
    before, after : int
    mode : str
        ``constant``, ``reflect``, ``wrap``, ``circular``; any other mode repeats the border.
    """
    if not before and not after:
        return []
    kept = length + min(before, 0) + min(after, 0)
    most = max(before, after, 0)
    if mode == "constant":
        return [(0, kept)] if min(before, after) < 0 else []
    if mode == "reflect":  # the border itself is not repeated
        return [(most + 1, kept)]
    return [(max(most, 1) if mode in ("wrap", "circular") else 1, kept)]


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    return call.args[0].ty


if HELD not in tvm.ir.Op.list_op_names():
    register_op(HELD, "A tensor that nothing uses before checks have passed.")
    tvm.ir.register_op_attr(HELD, "FInferType", _infer_type)
    tvm.ir.register_op_attr(HELD, "FPurity", True)
