"""softmax(q k^T) v as one kernel that never writes the matrix of scores.

The kernel computes a few rows of scores at a time: enough to fill the register tile of a product,
and so few that they stay in the first-level cache while softmax and the second product use them.
Rows of up to :data:`.long_rows.MOST_KEYS` keys are complete when softmax reads them, and every sum
has the order of the separate kernels. :mod:`.long_rows` has the others.
"""

from collections.abc import Callable

from tvm import te

from ..numerics import exp_bits
from ..numerics.ladder import LADDER
from ..numerics.number_formats import COMPUTED
from ..tvm_version import alloc, tir
from . import rows
from .attention_pairs import Pairs
from .attention_products import Attention, Operand, Place
from .compute import softmax_row
from .long_rows import MOST_KEYS, RunningSums, block_sizes, long_rows, whole_rows_fit
from .open_attention import OpenAttention, height, open_rows
from .parts import in_parts
from .register_tile import SQUARE, Tile, over_tiles
from .rows import Expr, Row, Stmt

HIGHEST = LADDER["quake5"]
# Units of work: where there are fewer heads, the rows of a head are split, into parts in which
# transposing the keys takes less than a fiftieth of the time.
MOST_UNITS, ROWS_OF_UNIT = 64, 128


def _whole_rows(op: Attention, place: Place, transposed: tir.Buffer, scores: tir.Buffer) -> Stmt:
    """A block of rows whose scores fit into the first-level cache."""

    def softmax(row: Row, r: Expr) -> list[Stmt]:
        return softmax_row(row, op.logits(place, r, 0, scores), op.exp, scores, (r,), op.empty)

    return rows.sequence(
        op.scores(place, op.keys, 0, transposed, scores),
        rows.by_length(op.keys, lambda row: op.each_row(lambda r: softmax(row, r)), True),
        op.values(place, op.keys, 0, scores, lambda r, e, s: op.write(place, r, e, s)),
    )


def _lines(keys: int | Expr, fill: bool) -> tuple[int | Expr, int]:
    """Elements between the rows of the transposed keys, and between those of the scores.

    Where only the run knows the keys, or they fill no tile, the last chunk of a row is whole, and
    the rows start in different sets of a cache.
    """
    if fill:
        return keys, keys if whole_rows_fit(keys) else max(block_sizes(keys)[1:])
    chunks = (keys + rows.LANES - 1) // rows.LANES
    odd = chunks | 1 if isinstance(chunks, int) else tir.bitwise_or(chunks, 1)
    return odd * rows.LANES, MOST_KEYS * 9 // 8


def attention(
    q: te.Tensor,
    k: te.Tensor,
    v: te.Tensor,
    mask: te.Tensor | None = None,
    *,
    operands: tuple[Operand, Operand, Operand, Operand],
    tiles: tuple[Tile, Tile],
    method: str,
    ieee: bool = True,
    scale: float = 1.0,
    empty: float | None = None,
    precision: str = COMPUTED,
) -> te.Tensor:
    """softmax(scale * q k^T + mask) v; all dtypes float32.

    The features of q, k and v are static. Batch, heads, rows and keys may be symbolic.

    Parameters
    ----------
    q, k, v : te.Tensor
        (batch, head, position, feature), in the axis order of their operands. The features of k and
        v are the innermost axis.
    mask : te.Tensor, optional
        Broadcast to (batch, head, row, key).
    operands : four Operand
        The axes of q, k, v and the output.
    tiles : two Tile
        The register tiles of the two products, with equal rows.
    method, ieee, scale, empty
        As for :func:`compute.softmax`.
    precision : str
        ``"bfloat16"``: both products round their operands to it. The features of q must be even.

    Returns
    -------
    te.Tensor
        float32, in the axis order of the fourth operand.
    """
    of_q, of_k, of_v, of_out = operands
    batch, heads, length, depth = of_q.sizes(q.shape)
    keys, width = of_k.sizes(k.shape)[2], of_v.sizes(v.shape)[3]
    fold = scale if mask is None else 1.0
    fill = fill_tiles(length, keys, tiles)
    make = Attention if fill else OpenAttention

    def body(inputs: list[tir.Buffer], out: tir.Buffer) -> Stmt:
        q, k, v, *masks = inputs
        of_keys, of_scores = _lines(keys, fill)
        pairs = None
        if precision == "bfloat16":
            pairs = Pairs.of(tiles[0].rows, depth, of_scores, keys, width)
        known = [rows.once(n) for n in (height(length, tiles[0].rows), of_keys)]
        most, line = (n for _, n in known)
        splits = _splits(batch * heads, length)
        op = make(
            operands, tiles, length, depth, keys, width, most, line, scale,
            lambda t: exp_bits.softmax_exp(t, LADDER[method], ieee, scale=fold),
            lambda t: exp_bits.exp(t, HIGHEST, ieee, scale=fold, high=0),
            empty, q, k, v, masks, out, pairs,
        )  # fmt: skip

        lines, dtype = (depth, "float32") if pairs is None else (depth // 2, "int32")
        shape = (lines * of_keys,) if rows.fixed(line) is None else (lines, line)
        transposed = tir.decl_buffer(shape, dtype, "keys_first")
        scores = tir.decl_buffer((tiles[0].rows, of_scores), "float32", "scores")
        prepare, block = _blocks(op, transposed, scores)
        buffers = [alloc(transposed), alloc(scores), *(pairs.allocated() if pairs else [])]

        def unit(n: Expr) -> Stmt:
            (in_b, b), (in_h, h) = rows.once(n // splits // heads), rows.once(n // splits % heads)
            return rows.sequence(
                *in_b,
                *in_h,
                op.keys_first(b, h, transposed),
                *op.rounded_values(b, h),
                over_tiles(length, most, lambda i: rounded((b, h, i)), (n % splits, splits)),
            )

        def rounded(place: Place) -> Stmt:
            return rows.sequence(*op.rounded_queries(place), block(place))

        units = batch * heads * splits
        work = batch * heads * length * keys * (depth + width)
        return rows.sequence(
            *(step for steps, _ in known for step in steps),
            in_parts(units, work, [*buffers, *prepare], unit),
        )

    return te.extern(
        [of_out.at(batch, heads, length, width)],
        [q, k, v] if mask is None else [q, k, v, mask],
        lambda ins, outs: body(list(ins), outs[0]),
        name="quake_attention",
        dtype="float32",
    )


def _blocks(
    op: Attention, transposed: tir.Buffer, scores: tir.Buffer
) -> tuple[list[Stmt], Callable[[Place], Stmt]]:
    """What is done before all blocks of rows, and the statement for the block at a place."""
    fit = whole_rows_fit(op.keys)
    if not isinstance(fit, bool):
        return open_rows(op, transposed, scores)
    if fit:
        return [], lambda place: _whole_rows(op, place, transposed, scores)
    sums = RunningSums.of(op)
    return sums.allocated(), lambda place: long_rows(op, place, transposed, scores, sums)


def _splits(heads: int | Expr, length: int | Expr) -> int | Expr:
    """Into how many units of work the rows of a head are split.

    Each of them transposes the head's keys again.
    """
    wanted = (MOST_UNITS + heads - 1) // rows.greatest(heads, 1)
    return rows.greatest(rows.least(wanted, length // ROWS_OF_UNIT), 1)


def fill_tiles(length: int | Expr, keys: int | Expr, tiles: tuple[Tile, Tile]) -> bool:
    """Whether these sizes are known and fill the tiles, so that there is only one kind of block."""
    high, wide = rows.fixed(length), rows.fixed(keys)
    if high is None or wide is None:
        return False
    return high >= tiles[0].rows and wide >= max(tiles[0].columns, SQUARE)
