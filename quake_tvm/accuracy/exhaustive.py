"""All 2^32 float32 inputs of an operator, shared between processes, one a core.

They end with this one, however it ends. Compiles nothing itself.
"""

import os
from collections.abc import Callable, Sequence

from ..errors import QuakeError
from ..numerics.reference import multiprecision
from ..support.worker import Worker, WorkerError
from ..support.worker_pool import Pool
from .findings import Findings
from .sweeps import Part, combined

# Magnitudes in a part, a second or two of work, after which an interrupt is heard.
PART = 1 << 24
MAGNITUDES = 1 << 31
# Seconds for a part: far beyond any, for what hangs.
TIMEOUT = 3600.0


def exhaustive(
    operator: str,
    methods: Sequence[str],
    target: str,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, tuple[Findings, str]]:
    """Every float32 input of an element-wise operator.

    Parameters
    ----------
    operator : str
    methods : sequence of str
    target : str
        As in the shell; must run on this machine.
    progress : callable
        Called after each part with the number of inputs in it.

    Returns
    -------
    dict of method to (Findings, str)
        And the hash of the results, all 2^32 of them.

    Raises
    ------
    QuakeError
        Without mpmath, and for a process that fails.
    """
    multiprecision()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = Pool("quake_tvm.accuracy.session", cores)

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
