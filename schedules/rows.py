"""The rule for kernels over rows: softmax, log_softmax, logsumexp and norms.

:mod:`quake_tvm.kernels.rows` generates these kernels. They already have vector loops, and their
rows run on all cores, alike for every target. They are generated because no schedule can overlap
the last chunk of a row with the one before. The number of rows computed at once and the use of
cores are tunable parameters. If others are chosen, the kernel is generated again.
"""

import tvm
from tvm import s_tir

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.row_kernel import side_by_side
from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide, Key
from .fence import fence_products

# Options for the rows computed at once.
ROWS_AT_ONCE = (1, 2, 4)
NAMES = (
    "quake_softmax",
    "quake_log_softmax",
    "quake_logsumexp",
    "quake_layer_norm",
    "quake_rms_norm",
    "quake_byte_groups",
    "quake_byte_softmax",
    "quake_quantized_rows",
    "quake_extremes",
)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Take a function that is one of the operators over rows.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    if not analysis.written_out(function, *NAMES):
        return None
    kernel = KernelSpec.of(function)
    if kernel is None:
        return analysis.start(function)
    *outer, length = function.params[0].ty.shape
    rows, length = analysis.volume(outer), analysis.constant(length)
    choice = decide(Key.of(kernel.name, rows=rows, length=length))
    count = None if rows is None or length is None else rows * length
    own = {
        "rows_at_once": side_by_side(rows, length),
        "parallel": int(analysis.worth_threads(count)),
    }
    fitting = [n for n in ROWS_AT_ONCE if rows is not None and n <= rows]
    plan = {
        "rows_at_once": choice.pick("rows_at_once", fitting, own["rows_at_once"]),
        "parallel": int(analysis.in_parallel(choice, count)),
    }
    return analysis.start(
        function if plan == own else fence_products(kernel.rebuild(function, **plan))
    )
