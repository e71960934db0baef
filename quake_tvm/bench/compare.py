"""Run one case with all contenders: build, compare with the exact result, time interleaved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm

from ..errors import QuakeError
from ..support.timing import Clock, Spread, Timer, cpu_clock, interleave, ratio
from . import peers
from .cases import Case
from .peers import EXACT, MULTIPLY, PEERS, Unavailable

if TYPE_CHECKING:
    from ..boards.client import Remote
    from ..schedules.records.book import Records
    from .runtimes import Contender, Job

# Seconds between turns if contenders have their own threads.
REST = 0.05


@dataclass(frozen=True)
class Row:
    """One contender's result.

    Attributes
    ----------
    contender : str
    ratio : Spread or None
        Its time divided by the first method's, over the rounds that both took part in.
    seconds : Spread
        Seconds per call; for small kernels without the overhead of the call.
    difference : float or None
        The largest difference from the exact result, relative where that is above 1; None for
        ``multiply``.
    lowered : (int, int) or None
        For this library: the number of nonlinearities lowered, and of all.
    rounds : list of float
        Seconds per call in each round.
    """

    contender: str
    ratio: Spread | None
    seconds: Spread
    difference: float | None
    lowered: tuple[int, int] | None
    rounds: list[float]


@dataclass(frozen=True)
class Result:
    """A case's rows, with the first method first.

    ``skipped`` has the reasons why contenders were skipped, ``contenders`` the others.
    """

    case: Case
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    contenders: "dict[str, Contender]" = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        case = self.case
        return {
            "name": case.name,
            "shape": case.shape,
            "sizes": dict(case.sizes),
            "kind": "model" if case.elements is None else "kernel",
            "elements": case.elements,
            "net": case.tiny is not None,
            "contenders": [asdict(row) for row in self.rows],
            "skipped": self.skipped,
        }


def difference(found: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> float:
    """The largest difference of any element, relative where the exact value is above 1.

    Infinite if the number or the shapes of outputs differ, or if NaN is in other places.
    """
    if [a.shape for a in found] != [b.shape for b in exact]:
        return float("inf")
    worst = 0.0
    for a, b in zip(found, exact, strict=True):
        a, b = (array.astype(np.result_type(b, np.float32), copy=False) for array in (a, b))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.where(same, 0, np.abs(a - b) / np.maximum(1, np.abs(b)))
        worst = max(worst, float(np.nan_to_num(apart, nan=np.inf).max(initial=0)))
    return worst


def compare(
    case: Case,
    methods: Sequence[str],
    target: tvm.target.Target,
    threads: int,
    rounds: int,
    progress: Callable[[str], None] = lambda what: None,
    board: "Remote | None" = None,
    records: "Records" = None,
    others: "Mapping[str, Callable[[Job], Contender]] | None" = None,
    cpu: bool = False,
) -> Result:
    """Measure a case.

    Parameters
    ----------
    case : Case
    methods : sequence of str
        Rungs. Ratios are relative to the first.
    target : tvm.target.Target
        Must run on this machine, or on the board.
    threads : int
        For all contenders but TVM, whose runtime has as many threads as it started with.
    rounds : int
    progress : callable
        Called with the current step.
    board : Remote, optional
        Where to measure. Then the runtimes installed here do not take part.
    records : path, list of paths, False or None
        As for :func:`quake_tvm.compile`.
    others : mapping of str to callable, optional
        The contenders besides the methods; by default all of ``peers.PEERS``, on a board those of
        ``peers.TVM``.
    cpu : bool
        Measure this process's CPU time in a loop of Python, instead of the time that passes. On one
        thread other programs of the machine disturb it less.

    Returns
    -------
    Result
    """
    progress(f"{case.name} {case.shape}: importing")
    full = peers.job(case, target, threads, board, records)
    tiny = None
    if case.tiny is not None:
        tiny = peers.job(case.tiny, target, threads, board, records)
    exact = peers.quake(EXACT)(full).run()
    if others is None:
        others = PEERS if board is None else peers.TVM
    builders = {**{m: peers.quake(m) for m in methods}, **others}
    if case.multiply is not None:
        builders[MULTIPLY] = peers.multiply

    def clock(contender: "Contender") -> Clock:
        return cpu_clock(contender.call) if cpu else contender.clock

    timers: dict[str, Timer] = {}
    contenders = {}
    notes: dict[str, tuple[float | None, tuple[int, int] | None]] = {}
    skipped = {}
    for name, build in builders.items():
        progress(f"{case.name} {case.shape}: compiling, {name}")
        try:
            contender = build(full)
            apart = None if name == MULTIPLY else difference(contender.run(), exact)
            overhead = clock(build(tiny)) if tiny is not None else None
            timers[name] = Timer(clock(contender), overhead)
            notes[name] = apart, contender.lowered
            contenders[name] = contender
        except Unavailable as error:
            skipped[name] = str(error)
        except Exception as error:
            lost = board is not None and isinstance(error, QuakeError)
            if lost or name in (*methods, EXACT, MULTIPLY):
                raise
            skipped[name] = _reason(error)
    progress(f"{case.name} {case.shape}: measuring")
    seconds = interleave(timers, rounds, REST if threads > 1 else 0.0)
    base = seconds[methods[0]]
    rows = [
        Row(name, ratio(own, base), spread, *notes[name], own)
        for name, own in seconds.items()
        if (spread := Spread.of(own)) is not None
    ]
    return Result(case, rows, skipped, contenders)


def _reason(error: Exception) -> str:
    """An error of another library as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}"[:160] if lines else type(error).__name__
