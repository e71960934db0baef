"""What accuracy costs: time and error of each rung and of other runtimes, on the same inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm

from ..bench import cases, peers
from ..bench.measure import Spread, Timer, interleave
from ..inputs import SMALLEST_NORMAL
from ..operators import bound
from .findings import absolute_term
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
    """Time rungs and runtimes on one thread, and take their errors.

    Parameters
    ----------
    operator : str
    methods : sequence of str
    target : tvm.target.Target
    todo : sequence of Case
        The operator's, of several sizes.
    rounds : int
        Interleaved repetitions.

    Returns
    -------
    dict
        For JSON: by size and contender, nanoseconds an element and the largest relative error,
        which is proven for a rung and that on the timed inputs, standard normal ones, for others.
    """
    found = []
    for case in todo:
        job, tiny = (each and peers.job(each, target, 1) for each in (case, case.tiny))
        (x,) = job.feeds.values()
        y = exact(operator, target)(x)
        timers, errors = {}, {}
        for name in (*methods, *OTHERS):
            build = peers.PEERS[name] if name in OTHERS else peers.quake(name)
            try:
                contender = build(job)
                clock = tiny and build(tiny).clock
            except peers.Unavailable:
                continue
            timers[name] = Timer(contender.clock, clock)
            (q,) = contender.run()
            beside = np.maximum(0, np.abs(q - y) - absolute_term(operator, "quake5"))
            worst = np.max(beside / np.maximum(np.abs(y), SMALLEST_NORMAL))
            errors[name] = bound(operator, name).relative if name in methods else float(worst)
        seconds = interleave(timers, rounds)
        found.append(
            {
                "elements": case.elements,
                "contenders": {
                    name: {
                        "ns": Spread.of(own).median / case.elements * 1e9,
                        "error": errors[name],
                        "proven": name in methods,
                    }
                    for name, own in seconds.items()
                },
            }
        )
    return {"operator": operator, "sizes": found}
