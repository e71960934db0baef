"""The time of one kernel, without the cost of calling it from Python. Knows no operator."""

from collections.abc import Sequence

import numpy as np
import tvm

from quake_tvm.support.timing import Clock, evaluator_clock


def kernel_clock(
    function: tvm.tirx.PrimFunc, arrays: Sequence[np.ndarray], on: tvm.target.Target
) -> Clock:
    """The CPU time of a scheduled kernel for these arrays, its results among them."""
    built = tvm.compile(tvm.IRModule({"main": function.with_attr("global_symbol", "main")}), on)
    tensors = [tvm.runtime.tensor(array) for array in arrays]

    def run(number: int) -> None:
        built.mod.time_evaluator("main", tvm.cpu(), number=number, repeat=1)(*tensors)

    return evaluator_clock(run)
