"""``python -m tests.fuzz --seconds 120``: random graphs against ONNX Runtime.

Prints the results. Ends with status 1 if any value was wrong, or anything crashed.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("TVM_NUM_THREADS", "2")

from .generate import DYNAMIC, Case, generate
from .program import program
from .session import Summary, run, verdict_on
from .shrink import shrunk


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long (120)")
    parser.add_argument("--graphs", type=int, default=10**9, help="at most so many")
    parser.add_argument("--seed", type=int, help="the first seed (by the clock)")
    parser.add_argument("--rung", default="quake3", help="the rung next to exact (quake3)")
    parser.add_argument("--jobs", type=int, default=1, help="children at a time (1)")
    parser.add_argument("--shrink", type=int, default=3, help="failures to shrink (3)")
    parser.add_argument("--show", type=int, help="print this seed's graph as a program, and end")
    parser.add_argument(
        "--dynamic", type=float, default=DYNAMIC, help="share with symbolic dimensions (a third)"
    )
    given = parser.parse_args()
    make = partial(generate, share=given.dynamic)
    if given.show is not None:
        print(program(make(given.show), given.rung))
        return 0
    first = int(time.time()) * 1000 if given.seed is None else given.seed
    methods = ["exact", given.rung]
    seeds = itertools.islice(itertools.count(first), given.graphs)
    print(f"seeds from {first}", flush=True)
    summary = run(
        seeds,
        methods,
        given.seconds,
        given.jobs,
        lambda v: print(f"{v.kind}: seed {v.seed}, {v.method}: {v.detail[:300]}", flush=True),
        make,
    )
    print(summary)
    return _shrunk(summary, given.shrink, make) if summary.failures else 0


def _shrunk(summary: Summary, count: int, make: Callable[[int], Case]) -> int:
    by_seed = {v.seed: v for v in reversed(summary.failures)}
    for failure in list(by_seed.values())[::-1][:count]:
        case = make(failure.seed)
        smallest = shrunk(case, failure, lambda c, m=failure.method: verdict_on(c, [m]))
        print(f"\n# seed {failure.seed}, {failure.kind}: {failure.detail[:300]}")
        print(program(smallest, failure.method))
    return 1


sys.exit(main())
