"""The rule for attention kernels that :mod:`quake_tvm.kernels.attention` generates.

Their heads already run on all cores. Their tiles are chosen before the kernel is generated. If
other tiles are wanted, the kernel is generated again.
"""

import tvm
from tvm import s_tir

from quake_tvm.kernels.attention import block_sizes, operands, whole_rows_fit
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.register_tile import Tile
from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide, Key
from .choices import choices
from .fence import fence_products

# Options for the rows of both tiles, and for the vectors of each.
ROWS, VECTORS = (1, 2, 4, 6, 8, 12, 16), (1, 2, 3, 4, 6)


def tiles(
    length: int, keys: int, features: int, target: tvm.target.Target
) -> tuple[Tile, Tile] | None:
    """Register tiles of attention's two products, with the same number of rows.

    Parameters
    ----------
    length, keys, features : int
        Rows of q, rows of k, and columns of v.
    target : tvm.target.Target

    Returns
    -------
    tuple of Tile or None
        The tile of the scores and that of the result. None if the operands are too small for any
        tile.
    """
    lanes, shapes = analysis.lanes(target), choices(target).tiles
    first = next((v for v in shapes if v * lanes <= keys and shapes[v] <= length), None)
    if first is None:
        return None
    height = shapes[first]
    fitting = [v for v in shapes if shapes[v] >= height and v * lanes <= features]
    if not fitting:
        return None
    second = min(fitting, key=lambda v: (-(-features // (v * lanes)) * v, -v))
    return Tile(height, first, lanes), Tile(height, second, lanes)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Take a function that is one attention kernel.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    if not analysis.written_out(function, "quake_attention"):
        return None
    kernel = KernelSpec.of(function)
    if kernel is None:
        return analysis.start(function)
    own = kernel.options["tiles"]
    tiles = _chosen(function, kernel, target, decide)
    return analysis.start(
        function if tiles == own else fence_products(kernel.rebuild(function, tiles=tiles))
    )


def _chosen(
    function: tir.PrimFunc, kernel: KernelSpec, target: tvm.target.Target, decide: Decide
) -> list[int]:
    """The chosen sizes of both tiles, in the form of the kernel's option ``tiles``."""
    of_q, of_k, of_v, _ = operands(kernel.options["axes"])
    q, k, v = (list(p.ty.shape) for p in function.params[:3])
    batch, heads, length, _ = of_q.sizes(q)
    keys, features = of_k.sizes(k)[2], of_v.sizes(v)[3]
    choice = decide(
        Key.of("attention", heads=batch * heads, length=length, keys=keys, features=features)
    )
    rows, vectors, lanes, _, value_vectors, _ = kernel.options["tiles"]
    rows = choice.pick("rows", [n for n in ROWS if n <= length], rows)
    small = [n for n in VECTORS if n * rows <= choices(target).registers]
    # Long rows are processed in blocks that add to the result, so no column of it may be computed
    # twice.
    overlaps = whole_rows_fit(keys)
    first = [n for n in small if n * lanes <= min(block_sizes(keys))]
    second = [
        n for n in small if n * lanes <= features and (overlaps or features % (n * lanes) == 0)
    ]
    vectors = choice.pick("vectors", first, min(vectors, first[-1]))
    value_vectors = choice.pick("value_vectors", second, min(value_vectors, second[-1]))
    return [rows, vectors, lanes, rows, value_vectors, lanes]
