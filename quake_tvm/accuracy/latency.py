"""Time and error of each rung and of other runtimes, on the same inputs."""

from collections.abc import Sequence
from typing import Any

import tvm

from ..bench import cases, peers
from ..bench.compare import difference
from ..support.timing import Spread, Timer, interleave
from .kernels import exact

OTHERS = "exact", "ONNX Runtime", "PyTorch eager"
ROUNDS = 15


def measure(
    operator: str,
    methods: Sequence[str],
    target: tvm.target.Target,
    todo: Sequence[cases.Case],
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Time rungs and runtimes on one thread, and measure their errors.

    Parameters
    ----------
    operator : str
    methods : sequence of str
    target : tvm.target.Target
    todo : sequence of Case
        The operator's cases, of several sizes.
    rounds : int
        Interleaved repetitions.

    Returns
    -------
    dict
        For JSON: for each size and contender the nanoseconds per element, and the largest error on
        the timed inputs, which are standard normal: relative where the exact value is above 1,
        otherwise absolute.
    """
    found = []
    for case in todo:
        assert case.elements is not None  # only whole models have none
        job = peers.job(case, target, 1)
        tiny = None if case.tiny is None else peers.job(case.tiny, target, 1)
        (x,) = job.feeds.values()
        y = exact(operator, target)(x)
        timers, errors = {}, {}
        for name in (*methods, *OTHERS):
            build = peers.PEERS[name] if name in OTHERS else peers.quake(name)
            try:
                contender = build(job)
                clock = None if tiny is None else build(tiny).clock
            except peers.Unavailable:
                continue
            timers[name] = Timer(contender.clock, clock)
            errors[name] = difference(contender.run(), [y])
        seconds = interleave(timers, rounds)
        found.append(
            {
                "elements": case.elements,
                "contenders": {
                    name: {
                        "ns": spread.median / case.elements * 1e9,
                        "error": errors[name],
                    }
                    for name, own in seconds.items()
                    if (spread := Spread.of(own)) is not None
                },
            }
        )
    return {"operator": operator, "sizes": found}
