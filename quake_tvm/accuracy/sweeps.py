"""Run compiled kernels on many inputs: their errors, other faults, and a hash of the results.

Inputs are ordered by magnitude, in blocks, each with both signs, so that monotonicity and oddness
can be checked. The hash of a sweep is the hash of its blocks' hashes, so that several processes can
share the work. Knows the registry and no process.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tvm

from ..numerics.ladder import METHODS
from ..numerics.operators import OPERATORS
from .findings import Findings, Measure, absolute_term
from .float32_inputs import blocks, stratum
from .kernels import kernel
from .statistics import Limits, statistics
from .truth import truth

SIGN = np.uint32(1 << 31)
# Findings, and the SHA-256 of each block's results.
Part = tuple[Findings, tuple[bytes, ...]]


class Sweep:
    """The compiled kernels of an operator, with its reference and the statistics pass.

    Parameters
    ----------
    operator : str
        An element-wise operator.
    methods : iterable of str
    target : tvm.target.Target
        Must run on this machine.
    settle : bool
        Whether mpmath decides where float64 cannot tell how an exact value rounds to float32.
    """

    def __init__(
        self,
        operator: str,
        methods: Iterable[str],
        target: tvm.target.Target,
        settle: bool = True,
    ) -> None:
        row = OPERATORS[operator]
        low, high = row.special[-math.inf], row.special[math.inf]
        self._truth, self._statistics = truth(operator, target, settle), statistics(target)
        self._kernels = {m: kernel(operator, m, target) for m in methods}
        self._none = {m: Findings(operator, m, absolute_term(operator, m)) for m in self._kernels}
        self._range = (-math.inf, math.inf)
        if row.rising:
            self._range = (float(np.float32(low)), float(np.float32(high)))
        self._rising, self._odd = int(row.rising), row.rising and low == -high

    def run(
        self,
        parts: Iterable[tuple[int, np.ndarray]],
        progress: Callable[[int], None] = lambda done: None,
    ) -> dict[str, Part]:
        """Measure float32 values of both signs.

        Parameters
        ----------
        parts : iterable of (int, np.ndarray of uint32)
            Blocks of magnitudes (the bits without the sign bit) in increasing order, each with the
            magnitude before it.
        progress : callable
            Called after each block with the number of inputs in it.

        Returns
        -------
        dict of method to (Findings, hashes)
            One hash for each block.
        """
        found = dict(self._none)
        hashes: dict[str, list[bytes]] = {m: [] for m in self._kernels}
        low, high = self._range
        for before, magnitudes in parts:
            halves = [self._half(before, magnitudes, sign) for sign in (np.uint32(0), SIGN)]
            for method, run in self._kernels.items():
                results = []
                for x, y, direction in halves:
                    q = run(x)
                    limits = Limits(found[method].absolute_term, low, high, direction)
                    found[method] += self._findings(found[method], x[1:], y, q, limits)
                    results.append(q[1:])
                if self._odd:
                    found[method] = found[method].count("odd", _differ(*results))
                hashes[method].append(block_hash(*results))
            progress(2 * len(magnitudes))
        return {m: (found[m], tuple(hashes[m])) for m in self._kernels}

    def _half(
        self, before: int, magnitudes: np.ndarray, sign: np.uint32
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """For one sign: the inputs and the one before, their exact values, and the direction."""
        bits = np.concatenate([np.array([before], np.uint32), magnitudes]) | sign
        if not magnitudes[0]:
            bits[0] = SIGN  # -0 comes before 0
        x = bits.view(np.float32)
        return x, self._truth(x[1:]), -self._rising if sign else self._rising

    def _findings(
        self, so_far: Findings, x: np.ndarray, y: np.ndarray, q: np.ndarray, limits: Limits
    ) -> Findings:
        maxima, sums, counts, ulps = self._statistics(y, q, limits)

        def witness(name: str) -> float | None:
            if maxima[name] <= so_far.largest(name):
                return None
            return float(x[np.argmax(self._statistics.measure(name, y, q, limits))])

        measures = {name: Measure(maxima[name], witness(name), sums[name]) for name in maxima}
        special = np.flatnonzero(np.isinf(x) | ((x == 0) & (y == 0)))
        results, exact = q[1:][special], np.float32(y[special])
        same = (results == exact) | (np.isnan(results) & np.isnan(exact))
        counts["special"] = int(np.count_nonzero(~same))
        return Findings(so_far.operator, so_far.method, limits.absolute, measures, counts, ulps)


def block_hash(positive: np.ndarray, negative: np.ndarray) -> bytes:
    """SHA-256 of a block's results, for inputs of both signs. All NaNs count as equal."""
    digest = hashlib.sha256()
    for q in (positive, negative):
        unknown = np.isnan(q)
        digest.update((np.where(unknown, np.float32(np.nan), q) if unknown.any() else q).data)
    return digest.digest()


def _differ(positive: np.ndarray, negative: np.ndarray) -> int:
    """The number of pairs of results that are not each other's negatives."""
    same = (positive.view(np.uint32) ^ SIGN) == negative.view(np.uint32)
    return int(np.count_nonzero(~(same | np.isnan(positive))))


def combined(hashes: Sequence[bytes]) -> str:
    """The hash of a whole sweep, from its blocks' hashes."""
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def sweep(
    operator: str,
    target: tvm.target.Target,
    count: int,
    methods: Iterable[str] = METHODS,
    progress: Callable[[int], None] = lambda done: None,
    settle: bool = False,
) -> dict[str, tuple[Findings, str]]:
    """Measure an element-wise operator on evenly spread bit patterns and all special inputs.

    Parameters
    ----------
    operator : str
    target : tvm.target.Target
        Must run on this machine.
    count : int
        The number of bit patterns, a power of two.
    methods : iterable of str
    progress : callable
        Called after each block with the number of inputs in it.
    settle : bool
        Whether mpmath decides where float64 cannot tell how an exact value rounds to float32. That
        concerns one input in a million, by an ulp.

    Returns
    -------
    dict of method to (Findings, str)
        The string is the hash of the results.
    """
    found = Sweep(operator, methods, target, settle).run(blocks(stratum(count)), progress)
    return {method: (findings, combined(hashes)) for method, (findings, hashes) in found.items()}
