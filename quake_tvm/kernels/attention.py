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
from .attention_bytes import Bytes
from .attention_pairs import Pairs
from .attention_products import Attention, Operand, Place
from .long_rows import MOST_KEYS, RunningSums, block_sizes, long_rows, whole_rows_fit
from .one_position import can_be_one, one_position
from .open_attention import OpenAttention, height, open_rows
from .parts import in_parts
from .register_tile import SQUARE, Tile, over_tiles
from .rows import Expr, Stmt
from .visible_keys import VisibleKeys

HIGHEST = LADDER["quake5"]
# Units of work: where there are fewer heads, the rows of a head are split, into parts in which
# transposing the keys takes less than a fiftieth of the time.
MOST_UNITS, ROWS_OF_UNIT = 64, 128


def _whole_rows(op: Attention, place: Place, transposed: tir.Buffer, scores: tir.Buffer) -> Stmt:
    """A block of rows whose scores fit into the first-level cache."""

    return rows.sequence(
        op.scores(place, op.keys, 0, transposed, scores),
        rows.by_length(
            op.keys, lambda row: op.each_row(lambda r: op.weights(place, row, r, scores)), True
        ),
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
    *masks: te.Tensor,
    operands: tuple[Operand, Operand, Operand, Operand],
    tiles: tuple[Tile, Tile],
    method: str,
    ieee: bool = True,
    scale: float = 1.0,
    empty: float | None = None,
    precision: str = COMPUTED,
    causal: bool = False,
    left: str | None = None,
) -> te.Tensor:
    """softmax(scale * q k^T + mask) v; all dtypes float32.

    The features of q, k and v are static. Batch, heads, rows and keys may be symbolic. If k and v
    have fewer heads than q, each of theirs serves a group of its heads.

    Parameters
    ----------
    q, k, v : te.Tensor
        (batch, head, position, feature), in the axis order of their operands. The features of k and
        v are the innermost axis.
    *masks : te.Tensor
        If ``causal``, first the positions of the rows, int64: a row sees the keys up to its
        position. Then at most one mask, which is broadcast to (batch, head, row, key).
    operands : four Operand
        The axes of q, k, v and the output.
    tiles : two Tile
        The register tiles of the two products, with equal rows.
    method, ieee, scale, empty
        As for :func:`compute.softmax`.
    precision : str
        ``"bfloat16"``: both products round their operands to it. The features of q must be even.
    causal : bool
        Whether there are positions.
    left : str, optional
        Both products take bytes, in groups whose elements on the left have this dtype.

    Returns
    -------
    te.Tensor
        float32, in the axis order of the fourth operand.
    """
    of_q, of_k, of_v, of_out = operands
    batch, heads, length, depth = of_q.sizes(q.shape)
    _, key_heads, keys, _ = of_k.sizes(k.shape)
    width = of_v.sizes(v.shape)[3]
    known_heads = isinstance(heads, int) and isinstance(key_heads, int)
    group = heads // key_heads if known_heads else 1  # symbolic ones are equal
    fold = scale if len(masks) == causal else 1.0
    fill = fill_tiles(length, keys, tiles) and not causal
    make = Attention if fill else OpenAttention

    def body(inputs: list[tir.Buffer], out: tir.Buffer) -> Stmt:
        q, k, v, *given = inputs
        visible = VisibleKeys(given.pop(0), keys) if causal else None
        begun, seen = ([], keys) if visible is None else visible.of_rows(0, length)
        of_keys, of_scores = _lines(keys, fill)
        pairs = of_bytes = None
        if precision == "bfloat16":
            pairs = Pairs.of(tiles[0].rows, depth, of_scores, keys, width)
        known = [rows.once(n) for n in (height(length, tiles[0].rows), of_keys)]
        most, line = (n for _, n in known)
        if left is not None:
            of_bytes = Bytes.of(left, tiles[0].rows, depth, line, of_scores, keys, width)
        splits = _splits(batch * key_heads, length)
        op = make(
            operands, tiles, length, depth, keys, width, most, line, scale,
            lambda t: exp_bits.softmax_exp(t, LADDER[method], ieee, scale=fold),
            lambda t: exp_bits.exp(t, HIGHEST, ieee, scale=fold, high=0),
            empty, q, k, v, given, out, group, visible, pairs, of_bytes,
        )  # fmt: skip

        lines, dtype = (depth, "float32") if pairs is None else (depth // 2, "int32")
        shape = (lines * of_keys,) if rows.fixed(line) is None else (lines, line)
        transposed = tir.decl_buffer(shape, dtype, "keys_first")
        scores = tir.decl_buffer((tiles[0].rows, of_scores), "float32", "scores")
        prepare, block = _blocks(op, transposed, scores)
        buffers = [alloc(transposed), alloc(scores), *(pairs.allocated() if pairs else [])]
        buffers += of_bytes.allocated(op.exp) if of_bytes else []

        single = one_position(op, transposed, scores) if can_be_one(op) else None
        if single is not None:
            prepare = [*prepare, *single[0]]

        def unit(n: Expr) -> Stmt:
            (in_b, b), (in_h, h) = (
                rows.once(m) for m in (n // splits // key_heads, n // splits % key_heads)
            )

            def head(g: Expr) -> Stmt:
                named, of_q = rows.once(h * group + g)
                share = n % splits, splits
                tiled = over_tiles(length, most, lambda i: rounded((b, of_q, i)), share)
                return rows.sequence(*named, tiled)

            def several() -> Stmt:
                return rows.sequence(
                    op.keys_first(b, h, seen, transposed),
                    *op.rounded_head(b, h, transposed),
                    rows.loop(group, head, most=1),
                )

            if single is None:
                work = several()
            elif rows.fixed(length) is not None:  # it is 1
                work = single[1](b, h)
            else:
                work = tir.IfThenElse(length == 1, single[1](b, h), several())
            return rows.sequence(*in_b, *in_h, work)

        def rounded(place: Place) -> Stmt:
            return rows.sequence(*op.rounded_queries(place), block(place))

        units = batch * key_heads * splits
        work = batch * heads * length * seen * (depth + width)
        return rows.sequence(
            *begun,
            *(step for steps, _ in known for step in steps),
            in_parts(units, work, [*buffers, *prepare], unit),
        )

    return te.extern(
        [of_out.at(batch, heads, length, width)],
        [q, k, v, *masks],
        lambda ins, outs: body(list(ins), outs[0]),
        name="quake_attention",
        dtype="float32",
    )


def _blocks(
    op: Attention, transposed: tir.Buffer, scores: tir.Buffer
) -> tuple[list[Stmt], Callable[[Place], Stmt]]:
    """What is done before all blocks of rows, and the statement for the block at a place."""
    fit = whole_rows_fit(op.keys)
    if op.visible is not None or not isinstance(fit, bool):
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
