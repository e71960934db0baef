"""A schedule rule: a name and a function that schedules matching kernels. Knows no kernel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import tvm
from tvm import s_tir

from quake_tvm.tvm_version import tir

from .choice import Decide
from .versions import Version

Scheduled: TypeAlias = s_tir.Schedule | Sequence[Version] | None
Apply: TypeAlias = Callable[[tir.PrimFunc, tvm.target.Target, Decide], Scheduled]


@dataclass(frozen=True)
class Rule:
    """How to schedule one kind of kernel, similar to the rules of TVM's dlight.

    Attributes
    ----------
    name : str
        The name in the report and in the attribute ``quake.rule`` of a scheduled kernel.
    apply : callable
        ``apply(function, target, decide)`` returns the scheduled kernel, or None if the kernel does
        not match the rule. For symbolic extents it may return several versions. ``decide`` takes
        the kernel's :class:`~quake_tvm.schedules.choice.Key` and returns its tunable parameters.
        ``apply`` may raise TVM's ``ScheduleError``, which is logged and counts as None. It must not
        change the order in which an output element is accumulated: a scheduled kernel has the bits
        of its plain loops.
    over_rows : bool
        Whether the rule's kernels are written out: their loops along rows are generated statements.
    """

    name: str
    apply: Apply
    over_rows: bool = False

    def __repr__(self) -> str:
        return f"Rule({self.name!r})"
