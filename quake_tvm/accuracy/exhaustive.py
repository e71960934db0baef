"""All 2^32 float32 inputs of an operator, distributed over processes, one per core.

The processes end with this one, however it ends. Compiles nothing itself.
"""

import os
from collections.abc import Callable, Sequence

from ..errors import QuakeError
from ..numerics.reference import multiprecision
from ..support.worker import Worker, WorkerError
from ..support.worker_pool import Pool
from .findings import Findings
from .sweeps import Part, combined

# Magnitudes per part: one or two seconds of work, after which an interrupt takes effect.
PART = 1 << 24
MAGNITUDES = 1 << 31
# Seconds allowed for a part: far more than any needs, to end a process that hangs.
TIMEOUT = 3600.0


def exhaustive(
    operator: str,
    methods: Sequence[str],
    target: str,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, tuple[Findings, str]]:
    """Measure an element-wise operator on every float32 input.

    Parameters
    ----------
    operator : str
    methods : sequence of str
    target : str
        A target as in the shell; it must run on this machine.
    progress : callable
        Called after each part with the number of inputs in it.

    Returns
    -------
    dict of method to (Findings, str)
        The string is the hash of all 2^32 results.

    Raises
    ------
    QuakeError
        If mpmath is missing, or a process fails.
    """
    multiprecision()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = Pool("quake_tvm.accuracy.session", cores or 1)

    def work(worker: Worker, first: int) -> dict[str, Part]:
        return worker.ask(TIMEOUT, "part", operator, tuple(methods), target, first, first + PART)

    parts: dict[int, dict[str, Part]] = {}
    try:
        for place, found in pool.each(work, range(0, MAGNITUDES, PART)):
            if isinstance(found, WorkerError):
                raise QuakeError(f"{operator} cannot be measured: {found or 'a process ended'}")
            parts[place] = found
            progress(2 * PART)
    finally:
        pool.close()
    return {method: _whole([parts[n][method] for n in sorted(parts)]) for method in methods}


def _whole(parts: Sequence[Part]) -> tuple[Findings, str]:
    (found, hashes), *rest = parts
    for more, others in rest:
        found, hashes = found + more, hashes + others
    return found, combined(hashes)
