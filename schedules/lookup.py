"""The rule for look-ups that replace feed-forward layers.

:mod:`quake_tvm.kernels.lookup` generates these kernels. How many columns are accumulated in
registers, how far ahead rows of tables are prefetched, and the use of cores are tunable parameters.
If others are chosen, the kernel is generated again.
"""

import tvm
from tvm import s_tir

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.lookup import AHEAD, COLUMNS
from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide, Key
from .choices import choices
from .fence import fence_products

# Tables that may be prefetched ahead; 0 for no prefetch.
AHEADS = (0, 2, 4, 6, 8, 12)
# Multiplications of a token's part that are worth a thread.
_LEAST_WORK = 1 << 17


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Take a function that is one look-up.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    if not analysis.written_out(function, "quake_lookup_ffn"):
        return None
    kernel = KernelSpec.of(function)
    if kernel is None:
        return analysis.start(function)
    z, table = function.params[0].ty, function.params[1].ty
    rows, width = analysis.volume(list(z.shape)[:-1]), int(table.shape[1])
    tables = int(table.shape[0]) >> kernel.options["bits"]
    key = Key("lookup_ffn", (rows, tables, width), str(table.dtype), ("rows", "tables", "width"))
    choice = decide(key)
    own = _columns(width, target)
    plan = {
        "columns": choice.pick("columns", _widths(width, target), own),
        "ahead": choice.pick("ahead", AHEADS, AHEAD),
    }
    if rows is not None:
        worth = int(rows > 1 and rows * tables * width >= _LEAST_WORK)
        plan["parallel"] = choice.pick("parallel", (worth,), worth)
    return analysis.start(fence_products(kernel.rebuild(function, **plan)))


def _columns(width: int, target: tvm.target.Target) -> int:
    """As many columns as three quarters of the registers hold, in equal parts."""
    most = choices(target).registers * 3 // 4 * analysis.lanes(target)
    return -(-analysis.balanced(width, most) // 16) * 16


def _widths(width: int, target: tvm.target.Target) -> list[int]:
    """Possible numbers of columns."""
    most = choices(target).registers * analysis.lanes(target)
    return [n for n in (COLUMNS, 2 * COLUMNS, 3 * COLUMNS, 6 * COLUMNS) if n <= min(width, most)]
