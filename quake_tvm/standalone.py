"""One tensor computation compiled by itself, as the TVM at hand schedules element-wise kernels.

What :mod:`accuracy` measures. Knows no operator.
"""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import te

from .generation import RELAY

if RELAY:
    from tvm.relay.op.strategy.generic import schedule_injective

    array, empty = tvm.nd.array, tvm.nd.empty
else:
    from .schedules import schedule

    array, empty = tvm.runtime.tensor, tvm.runtime.empty


def _compiled(
    inputs: list[te.Tensor], output: te.Tensor, target: tvm.target.Target
) -> Callable[..., None]:
    if RELAY:
        with target:
            scheduled = schedule_injective(None, [output], target)
        return tvm.build(tvm.lower(scheduled, [*inputs, output]), target=target)
    function = te.create_prim_func([*inputs, output])
    return tvm.compile(schedule(function, target), target=target)["main"]


def build(
    inputs: list[te.Tensor], output: te.Tensor, target: tvm.target.Target
) -> Callable[..., np.ndarray]:
    """A compiled, scheduled kernel over one-dimensional arrays of any length."""
    kernel = _compiled(inputs, output, target)

    def run(*values: np.ndarray) -> np.ndarray:
        result = empty(values[0].shape, output.dtype)
        kernel(*(array(np.ascontiguousarray(v)) for v in values), result)
        return result.numpy()

    return run
