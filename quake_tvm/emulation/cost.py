"""The cost of a kernel's call on another processor: counted and modelled, not timed.

The instructions are counted in QEMU (:mod:`count`), including those of the functions that the
kernel calls. :mod:`mca` models their cycles. Parallel loops run on one thread. Knows no build.
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
    """The cost of one call of a kernel.

    Attributes
    ----------
    instructions : int
        The number of executed instructions.
    cycles : float or None
        Modelled by llvm-mca; None if it has no model.
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
    """The cost of a kernel that is called as by :func:`kernel.run`.

    Parameters
    ----------
    library, name, arrays, results, target
        As for :func:`kernel.run`.
    sample : int
        The number of instructions whose cycles are modelled, which takes most of the time.

    Returns
    -------
    Cost

    Raises
    ------
    QuakeError
        For a missing tool, and as :func:`count.execution` and :func:`mca.cycles`.
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
        For a missing tool.
    """
    model = mca.model(target)
    return {
        "qemu": count.version(target),
        "model": model,
        "llvm": model and mca.version(),
    }
