"""Look up records in some folders to answer a rule's questions for one target.

The order of the search: a record of the same shape; a record of the nearest shape in the same
bucket; a record of a related machine, which has the same vectors but another CPU or number of
cores, again first of the same shape and then of the nearest. The first record found decides. A
record of the same shape and machine is used if it was faster than the rule's default. Any other
record must have been faster by more than ``WORTH``. Otherwise, or if no record is found, the rule
decides. Knows no rule and no graph.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import tvm

from quake_tvm.errors import QuakeError
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.support import given
from quake_tvm.tvm_version import tir

from ..choice import Choice, Key
from .files import ENDING, check_folder, read
from .record import Machine, Record, Trace
from .trace import fingerprint

SHIPPED = Path(__file__).parent
# The least gain over the rule, as a share of the rule's time, of a record of another shape or
# machine that is used. Also how much slower a more accurate rung may be.
WORTH = 0.02

Records = str | Path | Sequence[str | Path] | bool | None
# Sort key: how far a record is from what is asked, nearest first.
_Rank = tuple[bool, bool, int, float, bool, bool, float]


class Book:
    """The records for one target.

    Parameters
    ----------
    folders : sequence of Path
        Among records that are equally near, those of earlier folders win.
    target : tvm.target.Target
    """

    def __init__(self, folders: Sequence[Path], target: tvm.target.Target) -> None:
        self.machine = Machine.of(target)
        self.folders = list(folders)
        self._read = cache(read)

    @staticmethod
    def of(records: Records, target: tvm.target.Target) -> "Book":
        """The book for the option ``records=``.

        Parameters
        ----------
        records : path, sequence of path, False or None
            Folders that are searched before the library's own records. None uses only the library's
            own, False uses no records.
        target : tvm.target.Target

        Raises
        ------
        QuakeError
            If a folder cannot be read, or if an entry is not a path.
        """
        if records is False:
            return Book([], target)
        wanted = [records] if isinstance(records, str | Path) else records
        wanted = [] if wanted is None else wanted
        if not isinstance(wanted, list | tuple):
            raise QuakeError(
                f"records takes a folder, a list of folders or False, not {records!r:.60}"
            )
        folders = [given.path(folder, "a folder of records") for folder in wanted]
        for folder in folders:
            check_folder(folder)
        return Book([*folders, SHIPPED], target)

    def decide(self, key: Key) -> Choice:
        """The choice by the nearest record for a kernel. Has the type :data:`Decide`."""
        if not key.known:
            return Choice()
        ranked = [
            (rank, record, record.numbers)
            for place, record in self._newest_first(f"*/{key.operator}{ENDING}")
            if record.numbers is not None
            and record.trials  # else it holds only the costs of rungs
            and (rank := self._rank(place, record, key))
        ]
        if not ranked:
            return Choice()
        (foreign, elsewhere, *_), record, numbers = min(ranked, key=lambda item: item[0])
        if not foreign and not elsewhere:
            return Choice(numbers if record.ratio < 1 else {}, "record, same shape")
        if record.ratio > 1 - WORTH:
            return Choice()
        return Choice(numbers, self._source(record))

    def _rank(self, place: int, record: Record, key: Key) -> _Rank | None:
        """How far a record is from a key whose extents are known, nearest first.

        None if the record does not apply to the key.
        """
        machine, own = record.machine, self.machine
        if not machine.related(own) or record.key.dtype != key.dtype:
            return None
        theirs, ours = ([n for n in k.shape if n is not None] for k in (record.key, key))
        if bucket(theirs) != bucket(ours):
            return None
        apart = distance(theirs, ours)
        foreign, other = machine != own, machine.cpu != own.cpu
        return foreign, apart > 0, place, apart, other, *_value(record)

    def _source(self, record: Record) -> str:
        shape, machine = "x".join(map(str, record.key.shape)), record.machine
        if machine.cpu != self.machine.cpu:
            return f"record of {machine.cpu} {shape}"
        cores = "" if machine.cores == self.machine.cores else f" on {machine.cores} cores"
        return f"record of {shape}{cores}"

    def trace(self, function: tir.PrimFunc) -> Trace | None:
        """The best trace for exactly this kernel, machine and version of TVM.

        Parameters
        ----------
        function : PrimFunc
            Not scheduled, with its products fenced.

        Returns
        -------
        Trace or None
            None if there is none that is faster than the rule, or if a record with numbers is
            better.
        """
        own = list(self._own())
        traced = [
            (r, r.trace) for r in own if r.trace is not None and r.trace.tvm == tvm.__version__
        ]
        if not traced:
            return None
        kernel = fingerprint(function)
        fitting = [r for r, trace in traced if trace.kernel == kernel and r.ratio < 1]
        if not fitting:
            return None
        best = min(fitting, key=_value)
        rivals = (r for r in own if r.key == best.key and r.numbers is not None)
        return None if any(_value(r) < _value(best) for r in rivals) else best.trace

    def rung(self, operator: str, shape: str, allowed: Sequence[str]) -> str | None:
        """The rung for a site, chosen by the recorded cost of its kernel on each rung.

        Parameters
        ----------
        operator : str
        shape : str
            The shape in the form of the report, ``"1x128x1536"``.
        allowed : sequence of str
            The rungs to choose from.

        Returns
        -------
        str or None
            The most accurate of the allowed rungs whose cost is within ``WORTH`` of the cheapest,
            by the newest record of the site. None if the site has no record.
        """
        for record in self._own():
            timed = record.rungs.get(f"{operator} {shape}", {})
            costs = {rung: timed[rung] for rung in METHODS if rung in timed and rung in allowed}
            if costs:
                close = min(costs.values()) * (1 + WORTH)
                return [rung for rung, cost in costs.items() if cost <= close][-1]
        return None

    def _own(self) -> Iterator[Record]:
        for _, record in self._newest_first(f"{self.machine.folder}/*{ENDING}"):
            if record.machine == self.machine:
                yield record

    def _newest_first(self, pattern: str) -> list[tuple[int, Record]]:
        """The records in matching files, newest first, with their folder's position.

        Folders keep their order.
        """
        found = []
        for place, folder in enumerate(self.folders):
            records = [r for path in sorted(folder.glob(pattern)) for r in self._read(path)]
            records.reverse()  # among records of the same second the last is the newest
            records.sort(key=lambda r: r.made.date, reverse=True)
            found += [(place, record) for record in records]
        return found


def _value(record: Record) -> tuple[bool, float]:
    """Sort key of two records that are equally near, the better one smaller.

    A measured time is trusted more than a static count.
    """
    return record.measured == "static", record.ratio


def bucket(shape: Sequence[int]) -> list[int]:
    """The size class of each extent: 1; 2 to 7; 8 to 31; 32 to 127; and so on by powers of four."""
    return [n.bit_length() // 2 for n in shape]


def distance(a: Sequence[int], b: Sequence[int]) -> float:
    """The distance between two shapes of a bucket: how many doublings or halvings of extents."""
    return sum(abs(math.log2(m / n)) for m, n in zip(a, b, strict=True))
