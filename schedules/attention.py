"""The rule for attention kernels that :mod:`quake_tvm.kernels.attention` generates.

Their heads already run on all cores. Their tiles are chosen before the kernel is generated. If
other tiles are wanted, the kernel is generated again.
"""

from dataclasses import replace

import tvm
from tvm import s_tir

from quake_tvm.kernels import rows as loops
from quake_tvm.kernels.attention import fill_tiles
from quake_tvm.kernels.attention_products import operands
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.long_rows import block_sizes, whole_rows_fit
from quake_tvm.kernels.register_tile import Tile
from quake_tvm.tvm_version import Expr, tir

from . import analysis
from .choice import Decide, Key
from .choices import choices
from .fence import fence_products

# Options for the rows of both tiles, and for the vectors of each.
ROWS, VECTORS = (1, 2, 4, 6, 8, 12, 16), (1, 2, 3, 4, 6)


def tiles(
    length: int | None, keys: int | None, features: int, target: tvm.target.Target
) -> tuple[Tile, Tile] | None:
    """Register tiles of attention's two products, with the same number of rows.

    Parameters
    ----------
    length, keys, features : int or None
        Rows of q, rows of k, and columns of v. None if only the run knows the number.
    target : tvm.target.Target

    Returns
    -------
    tuple of Tile or None
        The tile of the scores and that of the result. The kernel has smaller tiles for operands
        that do not fill the first. None if v has fewer columns than a vector has lanes.
    """
    lanes, shapes = analysis.lanes(target), choices(target).tiles
    first = next(
        (
            v
            for v in shapes
            if (keys is None or v * lanes <= keys) and (length is None or shapes[v] <= length)
        ),
        next(iter(shapes)),
    )
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
    if kernel is None or not _is_tunable(function, kernel):
        return analysis.start(function)
    own = kernel.options["tiles"]
    tiles = _chosen(function, kernel, target, decide)
    return analysis.start(
        function if tiles == own else fence_products(kernel.rebuild(function, tiles=tiles))
    )


def _is_tunable(function: tir.PrimFunc, kernel: KernelSpec) -> bool:
    """Whether the kernel's sizes are known and fill its tiles, and rows see all keys."""
    if kernel.options.get("causal"):
        return False
    (batch, heads, length, _), (_, _, keys, _) = _sizes(function, kernel)[:2]
    first, second = (Tile(*kernel.options["tiles"][n : n + 3]) for n in (0, 3))
    return loops.fixed(batch * heads) is not None and fill_tiles(length, keys, (first, second))


def _sizes(function: tir.PrimFunc, kernel: KernelSpec) -> list[list[int | Expr]]:
    """The four extents of q, k and v."""
    parameters = zip(operands(kernel.options["axes"])[:3], function.params[:3], strict=True)
    return [operand.sizes(list(p.ty.shape)) for operand, p in parameters]


def _chosen(
    function: tir.PrimFunc, kernel: KernelSpec, target: tvm.target.Target, decide: Decide
) -> list[int]:
    """The chosen sizes of both tiles, in the form of the kernel's option ``tiles``."""
    (batch, heads, length, _), (_, _, keys, _), (_, _, _, features) = _sizes(function, kernel)
    key = Key.of("attention", heads=batch * heads, length=length, keys=keys, features=features)
    choice = decide(replace(key, dtype="int8") if "left" in kernel.options else key)
    rows, vectors, lanes, _, value_vectors, _ = kernel.options["tiles"]
    rows = choice.pick("rows", [n for n in ROWS if n <= length], rows)
    small = [n for n in VECTORS if n * rows <= choices(target).registers]
    block = keys if whole_rows_fit(keys) else min(block_sizes(keys)[1:])
    first = [n for n in small if n * lanes <= block]
    second = [n for n in small if n * lanes <= features]
    vectors = choice.pick("vectors", first, min(vectors, first[-1]))
    value_vectors = choice.pick("value_vectors", second, min(value_vectors, second[-1]))
    return [rows, vectors, lanes, rows, value_vectors, lanes]
