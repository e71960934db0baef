"""The element-wise kernels that users run, and libm's float64 references of the same formulas.

Knows the registry and no error.
"""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import te

from ..kernels import compute
from ..numerics import reference
from ..numerics.operators import OPERATORS
from ..tvm_version import Expr
from .standalone import build


def kernel(
    operator: str, method: str, target: tvm.target.Target, ieee: bool = True, **parameters: float
) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled kernel of an element-wise operator, for one-dimensional float32 arrays.

    Parameters
    ----------
    operator, method : str
    target : tvm.target.Target
        Must run on this machine.
    ieee : bool
        Whether NaN and infinities must come out right.
    **parameters
        Values of the formula's parameters, instead of their defaults.
    """
    x = te.placeholder((te.var("n", dtype="int64"),), name="x")
    return build([x], compute.elementwise(x, operator, method, ieee, **parameters), target)


def exact(
    operator: str, target: tvm.target.Target, **parameters: float
) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled float64 reference of an element-wise operator, for float32 arrays."""
    row = OPERATORS[operator]
    values, formula = {**row.parameters, **parameters}, row.reference
    assert formula is not None
    x = te.placeholder((te.var("n", dtype="int64"),), name="x")

    def value(i: Expr) -> Expr:
        return formula(reference.LIBM, x[i].astype("float64"), **values)

    return build([x], te.compute(x.shape, value, name="reference"), target)
