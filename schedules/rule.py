"""A rule: a name, and a function that schedules the kernels that it knows. Knows no kernel."""

from collections.abc import Callable
from dataclasses import dataclass

import tvm
from tvm import s_tir

from quake_tvm.tvm_version import tir

from .choice import Decide

Apply = Callable[[tir.PrimFunc, tvm.target.Target, Decide], s_tir.Schedule | None]


@dataclass(frozen=True)
class Rule:
    """How to schedule some kernels, in the manner of TVM's dlight.

    Attributes
    ----------
    name : str
        As the report and the attribute ``quake.rule`` of a scheduled kernel have it.
    apply : callable
        ``apply(function, target, decide)`` to the scheduled kernel, or None if the rule is not for
        it. ``decide`` answers for the tunable parameters. It may raise TVM's ``ScheduleError``,
        which is logged and counts as None. It must not change the order in which an output
        element is summed up: a scheduled kernel has the bits of its plain loops.
    over_rows : bool
        Whether its kernels have their loops along rows written out.
    """

    name: str
    apply: Apply
    over_rows: bool = False
