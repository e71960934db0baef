"""The cost of a kernel's call on another processor: counted and modelled, not timed.

Its instructions are counted in QEMU (:mod:`count`), those of the functions it calls among them;
:mod:`mca` says how many cycles they take. Parallel loops are one thread's. Knows no build.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm

from ..kernels.arguments import Description
from . import count, mca


@dataclass(frozen=True)
class Cost:
    """One call of a kernel.

    Attributes
    ----------
    instructions : int
        Executed.
    cycles : float or None
        By llvm-mca; None where it has no model.
    """

    instructions: int
    cycles: float | None


def cost(
    library: Path,
    name: str,
    arrays: Sequence[np.ndarray],
    results: Sequence[Description],
    target: tvm.target.Target,
    *,
    sample: int = count.SAMPLE,
) -> Cost:
    """The cost of a kernel, called as by :func:`kernel.run`.

    Cycles are modelled for a sample of so many instructions, which is what takes the time.

    Raises
    ------
    QuakeError
        For a tool that is missing, and what :func:`count.execution` and :func:`mca.cycles` raise.
    """
    executed = count.execution(library, name, arrays, results, target, sample=sample)
    if mca.model(target) is None:
        return Cost(executed.instructions, None)
    cycles = mca.cycles(executed.sample, target)
    return Cost(executed.instructions, cycles * executed.instructions / len(executed.sample))


def tools(target: tvm.target.Target) -> dict[str, str | None]:
    """What costs depend on: QEMU's version, the modelled processor, LLVM's version.

    Raises
    ------
    QuakeError
        For a tool that is missing.
    """
    model = mca.model(target)
    return {
        "qemu": count.version(target),
        "model": model,
        "llvm": model and mca.version(),
    }
