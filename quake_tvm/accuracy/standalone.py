"""Compile one tensor computation by itself, scheduled as the installed TVM schedules such kernels.

:mod:`accuracy` measures these. Knows no operator.
"""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import te

from ..kernels.rows import fixed
from ..tvm_version import RELAY

if RELAY:
    from tvm.relay.op.strategy.generic import schedule_injective

    array, empty = tvm.nd.array, tvm.nd.empty
else:
    from ..schedules import schedule

    array, empty = tvm.runtime.tensor, tvm.runtime.empty


def _compiled(
    inputs: list[te.Tensor], output: te.Tensor, target: tvm.target.Target
) -> Callable[..., None]:
    if RELAY:
        if isinstance(output.op, te.ExternOp):  # generated statements: nothing to schedule
            scheduled = te.create_schedule(output.op)
        else:
            with target:
                scheduled = schedule_injective(None, [output], target)
        return tvm.build(tvm.lower(scheduled, [*inputs, output]), target=target)
    function = te.create_prim_func([*inputs, output])
    return tvm.compile(schedule(function, target) or function, target=target)["main"]


def build(
    inputs: list[te.Tensor], output: te.Tensor, target: tvm.target.Target
) -> Callable[..., np.ndarray]:
    """Compile one tensor computation to a kernel for arrays.

    Parameters
    ----------
    inputs : list of te.Tensor
    output : te.Tensor
        Its shape is static, or that of the first input.
    target : tvm.target.Target
        Must run on this machine.

    Returns
    -------
    callable
        One array for each input to the result.
    """
    kernel = _compiled(inputs, output, target)
    shape = [fixed(n) for n in output.shape]

    def run(*values: np.ndarray) -> np.ndarray:
        result = empty(values[0].shape if None in shape else shape, output.dtype)
        kernel(*(array(np.ascontiguousarray(v)) for v in values), result)
        return result.numpy()

    return run
