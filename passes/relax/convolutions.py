"""Convolutions of other operands or with other pads, but the same windows."""

from collections.abc import Sequence

from tvm import relax

from .graph import op_name

CONVOLUTIONS = ("relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d")


def convolve(
    call: relax.Call, x: relax.Expr, weights: relax.Expr, padding: Sequence[int] | None = None
) -> relax.Call:
    """A call like this one with int32 sums.

    Parameters
    ----------
    call : Call
        Of one of ``CONVOLUTIONS``.
    x, weights : Expr
        The operands.
    padding : sequence of int, optional
        The call's own by default.
    """
    given = call.attrs
    return getattr(relax.op.nn, op_name(call).removeprefix("relax.nn."))(
        x,
        weights,
        strides=given.strides,
        padding=given.padding if padding is None else padding,
        dilation=given.dilation,
        groups=given.groups,
        data_layout=given.data_layout,
        kernel_layout=given.kernel_layout,
        out_layout=given.out_layout,
        out_dtype="int32",
    )
