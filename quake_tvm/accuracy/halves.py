"""Every input of a half precision format: the errors of the element-wise operators, and a hash.

The kernel widens its operand, computes in float32 and narrows its result. There are 65,536 inputs,
so the measured bounds are proofs. Knows the registry.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import tvm
from tvm import te

from ..kernels import compute
from ..numerics.ladder import METHODS
from ..numerics.number_formats import FORMATS
from ..numerics.operators import OPERATORS, Bound, bound
from ..tvm_version import Expr
from .findings import round_up
from .standalone import build
from .truth import truth


@dataclass(frozen=True)
class Measured:
    """What all inputs of a format show of an operator on a rung.

    Attributes
    ----------
    bound : Bound
    wrong : int
        Results that the contract excludes whatever the error: NaN for a number, a number for NaN,
        an infinity where the exact value is too small for one, even with the error of the rung in
        float32, a number where it is too large, and a wrong value at an infinity.
    hash : str
        SHA-256 of all results. All NaNs count as equal.
    """

    bound: Bound
    wrong: int
    hash: str


def every_value(dtype: str) -> np.ndarray:
    """All 65,536 bit patterns of a format, in the order of their bits."""
    return np.arange(1 << 16, dtype=np.uint16).view(np.dtype(dtype))


def measure(
    operator: str, dtype: str, target: tvm.target.Target, methods: Iterable[str] = METHODS
) -> dict[str, Measured]:
    """Run an operator's kernels on every input of a format.

    Parameters
    ----------
    operator : str
        An element-wise operator.
    dtype : str
        ``"float16"`` or ``"bfloat16"``.
    target : tvm.target.Target
        Must run on this machine.
    methods : iterable of str

    Returns
    -------
    dict of method to Measured
    """
    x = every_value(dtype)
    y = truth(operator, target, settle=False)(x.astype(np.float32))
    return {
        m: _measured(operator, m, x, y, _kernel(operator, m, dtype, target)(x)) for m in methods
    }


def tensors(operator: str, method: str, dtype: str, count: int | Expr) -> list[te.Tensor]:
    """The operand of an element-wise operator, of one axis and in a format, and the result."""
    form = FORMATS[dtype]
    x = te.placeholder((count,), dtype, "x")
    wide = te.compute(x.shape, lambda i: form.widen(x[i]), "widened", "elemwise")
    result = compute.elementwise(wide, operator, method)
    return [x, te.compute(x.shape, lambda i: form.narrow(result[i]), "narrowed", "elemwise")]


def digest(results: np.ndarray) -> str:
    """SHA-256 of results in half precision. All NaNs count as equal."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        is_nan = np.isnan(results.astype(np.float32))
    bits = np.where(is_nan, np.uint16(0xFFFF), results.view(np.uint16))
    return hashlib.sha256(bits.tobytes()).hexdigest()


def _kernel(
    operator: str, method: str, dtype: str, target: tvm.target.Target
) -> Callable[..., np.ndarray]:
    x, y = tensors(operator, method, dtype, te.var("n", dtype="int64"))
    return build([x], y, target)


def _measured(operator: str, method: str, x: np.ndarray, y: np.ndarray, q: np.ndarray) -> Measured:
    info, single = ml_dtypes.finfo(x.dtype), bound(operator, method)
    # Halfway from the largest number to the next one that the format lacks.
    infinite = float(info.max) * (1 + float(info.eps) / 4)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide, found = x.astype(np.float64), q.astype(np.float64)
    size = np.abs(y)
    may_be_infinite = size * (1 + single.relative) + single.absolute >= infinite
    right = np.where(
        np.isnan(y),
        np.isnan(found),
        np.where(
            np.isinf(found),
            (np.sign(found) == np.sign(y)) & may_be_infinite,
            ~np.isnan(found) & (size * (1 - single.relative) < infinite),
        ),
    )
    measured = np.isfinite(found) & np.isfinite(y)
    absolute = single.absolute + float(info.smallest_subnormal) / 2
    with np.errstate(all="ignore"):
        relative = np.where(measured, (np.abs(found - y) - absolute) / size, 0)
    relative = np.where(np.isnan(relative), 0, relative)
    worst = int(np.argmax(relative))
    monotone = None
    if OPERATORS[operator].rising:
        order = np.argsort(wide[~np.isnan(wide)], kind="stable")
        rising = found[~np.isnan(wide)][order]
        monotone = bool((rising[1:] >= rising[:-1]).all())
    proven = Bound(
        operator,
        method,
        round_up(max(float(relative[worst]), 0.0)),
        absolute,
        float(wide[worst]),
        monotone,
        dtype=str(x.dtype),
    )
    return Measured(proven, int(np.count_nonzero(~right)), digest(q))
