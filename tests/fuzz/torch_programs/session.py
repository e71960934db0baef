"""Run many programs, in batches that are compiled as one module, and count the results."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field

import torch

from ..forked import in_children
from .check import CRASH, FAILURES, REFUSED, Outcome, check
from .generate import generate
from .program import Program
from .shrink import shrunk
from .ways import WAYS

BATCH = 12
# Every WHOLE-th batch of a run is compiled in all ways, the others in the first.
WHOLE = 10
# The time limit of a child for a batch, in seconds.
_LIMIT = 300


@dataclass
class Summary:
    """The results of a run.

    Attributes
    ----------
    counts : Counter of str
        Programs by outcome.
    refusals : Counter of str
        Refusals by reason.
    failures : list of (Program, Outcome)
        Everything that is wrong.
    """

    counts: Counter = field(default_factory=Counter)
    refusals: Counter = field(default_factory=Counter)
    failures: list[tuple[Program, Outcome]] = field(default_factory=list)

    def add(self, program: Program, outcome: Outcome) -> None:
        """Count an outcome."""
        self.counts[outcome.kind] += 1
        if outcome.kind == REFUSED:
            self.refusals[outcome.reason[:110]] += 1
        if outcome.kind in FAILURES:
            self.failures.append((program, outcome))

    def __str__(self) -> str:
        lines = [", ".join(f"{n} {kind}" for kind, n in self.counts.most_common())]
        lines += [f"  {n} refused: {reason}" for reason, n in self.refusals.most_common()]
        for program, outcome in self.failures:
            lines += [
                f"seed {program.seed}: {outcome.kind}: {outcome.reason}",
                program.script(),
                "",
            ]
        return "\n".join(lines)


def outcomes(programs: Sequence[Program], ways: Sequence[str] = WAYS) -> list[Outcome]:
    """The outcome of each program. A child that dies loses no other program's outcome."""

    def work(batch: Sequence[Program]) -> Iterator[str]:
        torch.set_num_threads(1)  # the parent's threads do not exist in the child
        yield from (json.dumps(astuple(outcome)) for outcome in check(batch, ways))

    (ended,) = in_children(work, [programs], deadline=_LIMIT)
    if not ended.death:
        return [Outcome(*json.loads(line)) for line in ended.lines]
    if len(programs) == 1:
        return [Outcome(CRASH, ended.death)]
    half = len(programs) // 2
    return [*outcomes(programs[:half], ways), *outcomes(programs[half:], ways)]


def run(
    seconds: float,
    seed: int,
    programs: int | None = None,
    *,
    shrink: bool = True,
    whole: int = WHOLE,
) -> Summary:
    """Try programs from ``seed`` on until the time or their number runs out.

    Failures are shrunk. Every ``whole``-th batch is compiled in all ways.
    """
    summary, end, done = Summary(), time.monotonic() + seconds, 0
    with contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < end and (programs is None or done < programs):
            count = BATCH if programs is None else min(BATCH, programs - done)
            batch = [generate(seed + done + k) for k in range(count)]
            ways = WAYS if done // BATCH % whole == 0 else WAYS[:1]
            done += count
            for program, outcome in zip(batch, outcomes(batch, ways), strict=True):
                if outcome.kind in FAILURES and ways == WAYS[:1]:  # which no user compiles in
                    outcome = outcomes([program], WAYS[1:])[0]
                if shrink and outcome.kind in FAILURES:
                    kind, way = outcome.kind, [outcome.reason.split(":")[0]]
                    way = way if way[0] in WAYS else ways
                    program = shrunk(program, kind, lambda p, way=way: outcomes([p], way)[0])
                    outcome = outcomes([program], way)[0]
                summary.add(program, outcome)
    return summary
