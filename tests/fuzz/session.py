"""Run many seeds, in packs of graphs that are compiled as one model, and count the results."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import quake_tvm

from .check import CRASH, FAILURES, REFUSED, UNJUDGED, Verdict, check, from_line, to_line
from .forked import in_children
from .generate import Case, generate

PACK = 4  # divides the number of consecutive seeds that share an opset


@dataclass
class Summary:
    """Counts of verdicts, and the failures."""

    graphs: int = 0
    counts: Counter = field(default_factory=Counter)
    refusals: Counter = field(default_factory=Counter)
    unjudged: Counter = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)  # the first seed of each reason
    failures: list[Verdict] = field(default_factory=list)
    # Of graphs with symbolic dimensions, by method: graphs with a right size, right sizes, and
    # sizes that ONNX Runtime refuses too.
    dynamic: Counter = field(default_factory=Counter)
    sizes: Counter = field(default_factory=Counter)
    never_valid: Counter = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.counts[verdict.method, verdict.kind] += 1
        self.dynamic[verdict.method] += verdict.sizes > 0
        self.sizes[verdict.method] += verdict.sizes
        self.never_valid[verdict.method] += verdict.never_valid
        if verdict.kind in (REFUSED, UNJUDGED):
            self.first.setdefault(verdict.reason, verdict.seed)
        if verdict.kind == REFUSED:
            self.refusals[verdict.reason] += 1
        if verdict.kind == UNJUDGED:
            self.unjudged[verdict.reason] += 1
        if verdict.kind in FAILURES:
            self.failures.append(verdict)

    def __str__(self) -> str:
        lines = [f"{self.graphs} graphs"]
        for method in dict.fromkeys(m for m, _ in self.counts):
            told = ", ".join(f"{n} {kind}" for (m, kind), n in self.counts.items() if m == method)
            lines.append(f"{method}: {told}")
            if self.dynamic[method]:
                lines.append(
                    f"{method}, symbolic dimensions: {self.dynamic[method]} graphs right at "
                    f"{self.sizes[method]} sizes; {self.never_valid[method]} sizes never valid"
                )
        for title, counted in (("refused", self.refusals), ("not judged", self.unjudged)):
            for reason, n in counted.most_common():
                lines.append(f"{title} {n}, as {self.first[reason]}: {reason[:160]}")
        return "\n".join(lines)


@cache
def _warm() -> None:
    """Import and compute once, in the parent, what every compilation needs."""
    case = generate(0)
    with contextlib.suppress(quake_tvm.QuakeError):
        quake_tvm.compile(case.model)


def packs(seeds: Iterable[int]) -> Iterator[list[int]]:
    """Packs of seeds whose graphs have one opset."""
    pack: list[int] = []
    for seed in seeds:
        if pack and (len(pack) == PACK or seed // 8 != pack[0] // 8):
            yield pack
            pack = []
        pack.append(seed)
    if pack:
        yield pack


def run(
    seeds: Iterable[int],
    methods: Sequence[str],
    seconds: float = float("inf"),
    jobs: int = 1,
    told: Callable[[Verdict], None] = lambda _: None,
    make: Callable[[int], Case] = generate,
) -> Summary:
    """Generate, compile, run and judge, until the seeds or the seconds run out, or an interrupt."""
    _warm()
    end = time.monotonic() + seconds
    summary = Summary()

    def until_the_end() -> Iterator[list[int]]:
        for pack in packs(seeds):
            if time.monotonic() > end:
                return
            yield pack

    def work(pack: list[int]) -> Iterator[str]:
        cases = [make(seed) for seed in pack]
        yield from (to_line(v) for v in check(cases, methods))

    def found(ended_pack: list[int], lines: list[str], death: str) -> None:
        summary.graphs += len(ended_pack)
        verdicts = [from_line(line) for line in lines if line.startswith("[")]
        if death:
            verdicts = [Verdict(ended_pack[0], methods[0], CRASH, death)]
        for verdict in verdicts:
            summary.add(verdict)
            if verdict.kind in FAILURES:
                told(verdict)

    with contextlib.suppress(KeyboardInterrupt):
        for ended in in_children(work, until_the_end(), jobs):
            if ended.death and len(ended.item) > 1:  # find the graph that caused the death
                for alone in in_children(work, [[seed] for seed in ended.item], jobs):
                    found(alone.item, alone.lines, alone.death)
            else:
                found(ended.item, ended.lines, ended.death)
    return summary


def verdict_on(case: Case, methods: Sequence[str]) -> Verdict:
    """The worst verdict on a graph, found in a child process."""
    for ended in in_children(lambda c: map(to_line, check([c], methods)), [case]):
        if ended.death:
            return Verdict(case.seed, methods[0], CRASH, ended.death)
        verdicts = [from_line(line) for line in ended.lines]
        bad = [v for v in verdicts if v.kind in FAILURES]
        return (bad or verdicts)[0]
    raise AssertionError("a child that neither ends nor dies")
