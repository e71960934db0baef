"""A layer of LSTM, GRU or RNN in Relax, from weights in ONNX's order of gates.

The inputs of all steps are multiplied by the layer's weights in one product; the operator
``quake.recurrent`` does the rest. Knows no file format.
"""

from collections.abc import Sequence
from typing import Any

from tvm import relax

from ..kernels.byte_product_operator import byte_product
from ..kernels.recurrent_operator import recurrent

op = relax.op


def layer(
    builder: relax.BlockBuilder,
    x: relax.Expr,
    weights: relax.Expr,
    recurrent_weights: relax.Expr,
    bias: relax.Expr | None,
    further: Sequence[relax.Expr],
    factors: Sequence[relax.Expr] = (),
    **options: Any,
) -> list[relax.Expr]:
    """Emit a layer.

    Parameters
    ----------
    builder : BlockBuilder
    x : Expr
        (step, row, feature), or (row, step, feature) if ``batch_first``.
    weights, recurrent_weights : Expr
        (direction, gate * unit, feature) and (direction, gate * unit, unit of the result).
    bias : Expr or None
        (direction, gate * unit).
    further : sequence of Expr
        The operands of ``quake.recurrent`` after its weights and their factors.
    factors : sequence of Expr
        What int8 weights are multiplied by: those of the input and those of the state, each
        (direction, gate * unit). Such weights are constants. Empty for float32.
    **options
        Those of ``quake.recurrent``.

    Returns
    -------
    list of Expr
        The result (step, row, direction, unit), with rows first if ``batch_first``, and the states
        after the last step (direction, row, unit).
    """
    directions, sums, features = (int(n) for n in weights.ty.shape)
    first, second, _ = x.ty.shape
    # One row for every row of every step, since a product takes its tiles from one dimension.
    flat = builder.emit(op.reshape(x, relax.ShapeExpr([first * second, features])))
    matrix = builder.emit(op.reshape(weights, (directions * sums, features)))
    columns = builder.emit(op.permute_dims(matrix, [1, 0]))
    if factors:
        each = builder.emit(op.reshape(factors[0], (directions * sums,)))
        product = builder.emit(byte_product(flat, columns, each))
    else:
        product = builder.emit(op.matmul(flat, columns))
    if bias is not None:
        summand = builder.emit(op.reshape(bias, (directions * sums,)))
        product = builder.emit(op.add(product, summand))
    shape = relax.ShapeExpr([first, second, directions * sums])
    product = builder.emit(op.reshape(product, shape))
    further = [*factors[1:], *further]
    options |= {"bytes": bool(factors)}
    results = builder.emit(recurrent(product, recurrent_weights, *further, **options))
    count = len(results.ty.fields)
    return [builder.emit(relax.TupleGetItem(results, k)) for k in range(count)]
