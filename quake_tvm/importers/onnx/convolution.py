"""ONNX's convolutions, where TVM's importer is wrong or slow: auto_pad, output_shape.

TVM's importer adds the pads of ``auto_pad`` by a kernel of its own, and only for static sizes.
"""

from tvm import relax, topi

from .fitting import differ, misfit
from .known_extents import impose
from .node import Node
from .windows import Window, check_fit, pads_apart, windows_of


def conv(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Check Conv, and convert it with auto_pad SAME_UPPER or SAME_LOWER.

    Raises
    ------
    QuakeError
        For a kernel_shape that differs from the weights' shape, for weights of other channels than
        the input's, and for negative pads.
    """
    _check_kernel(node)
    _check_channels(builder, node)
    windows = windows_of(node, node.shape(1)[2:])
    if not node.attributes.get("auto_pad", "NOTSET").startswith("SAME"):
        check_fit(node, windows)
        return None
    x, windows = pads_apart(builder, node, node.inputs[0], windows)
    return _with_bias(builder, node, _convolved(builder, node, x, node.inputs[1], windows))


def conv_integer(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert ConvInteger: a convolution of int32 after the zero points are subtracted.

    Raises
    ------
    QuakeError
        As for :func:`conv`.
    """
    _check_kernel(node)
    _check_channels(builder, node)
    windows = windows_of(node, node.shape(1)[2:])
    check_fit(node, windows)
    rank = len(windows) + 2
    x, w = (relax.op.astype(node.inputs[k], "int32") for k in range(2))
    if node.input(2) is not None:
        x = relax.op.subtract(x, relax.op.astype(relax.op.reshape(node.input(2), []), "int32"))
    if node.input(3) is not None:
        zero = relax.op.reshape(node.input(3), [-1, *[1] * (rank - 1)])
        w = relax.op.subtract(w, relax.op.astype(zero, "int32"))
    x, windows = pads_apart(builder, node, builder.emit(x), windows)
    return _convolved(builder, node, x, builder.emit(w), windows)


def _convolved(
    builder: relax.BlockBuilder,
    node: Node,
    x: relax.Expr,
    weights: relax.Expr,
    windows: list[Window],
) -> relax.Expr:
    layout = "DHW"[-len(windows) :]
    return builder.emit(
        getattr(relax.op.nn, f"conv{len(windows)}d")(
            x,
            weights,
            strides=[w.stride for w in windows],
            padding=[w.before for w in windows] + [w.after for w in windows],
            dilation=[w.dilation for w in windows],
            groups=node.attributes.get("group", 1),
            data_layout=f"NC{layout}",
            kernel_layout=f"OI{layout}",
        )
    )


def conv_transpose(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert ConvTranspose with an output_shape, which TVM's importer ignores.

    Raises
    ------
    QuakeError
        For an output_shape of dynamic dimensions, for negative pads, and for pads that cut off more
        than there is.
    """
    _check_kernel(node)
    impose(builder, node, {1: node.shape(1)[0]})
    kernel = node.shape(1)[2:]
    windows = windows_of(node, kernel, check_only=True)
    wanted = node.attributes.get("output_shape")
    rank = len(windows)
    extra = node.attributes.get("output_padding", [0] * rank)
    if wanted is None:
        for window, more in zip(windows, extra, strict=True):
            if window.length and _whole(window, more) < window.before + window.after:
                raise node.refuse(f"pads that cut off more than {_whole(window, more)} elements")
        return None
    wanted = list(wanted)[-rank:]
    lower = node.attributes.get("auto_pad", "NOTSET") != "SAME_UPPER"
    before, after, missing = [], [], []
    for window, size, more in zip(windows, wanted, extra, strict=True):
        if window.length is None:
            raise node.refuse("output_shape of dynamic dimensions; give shapes for the inputs")
        total = _whole(window, more) - size
        half = max(total, 0) // 2
        before.append(max(total, 0) - half if lower else half)
        after.append(half if lower else max(total, 0) - half)
        missing.append(max(-total, 0))
    operator = getattr(relax.op.nn, f"conv{rank}d_transpose")
    layout = "DHW"[-rank:]
    y = builder.emit(
        operator(
            node.inputs[0],
            node.inputs[1],
            strides=[w.stride for w in windows],
            padding=before + after,
            output_padding=list(extra),
            dilation=[w.dilation for w in windows],
            groups=node.attributes.get("group", 1),
            data_layout=f"NC{layout}",
            kernel_layout=f"IO{layout}",
        )
    )
    if any(missing):
        y = builder.emit_te(topi.nn.pad, y, [0] * (rank + 2), [0, 0, *missing])
    return _with_bias(builder, node, y)


def _whole(window: Window, more: int) -> int:
    """The elements of a transposed convolution of a known length before pads cut some off."""
    assert window.length is not None
    return (window.length - 1) * window.stride + more + window.reach


def _with_bias(builder: relax.BlockBuilder, node: Node, y: relax.Expr) -> relax.Expr:
    bias = node.input(2)
    if bias is None:
        return y
    return relax.op.add(y, relax.op.reshape(bias, [1, -1, *[1] * (len(node.shape()) - 2)]))


def _check_channels(builder: relax.BlockBuilder, node: Node) -> None:
    x, weights = node.shape(0), node.shape(1)
    channels = weights[1] * node.attributes.get("group", 1)
    if differ([x[1], channels]):
        raise misfit(node, [x, weights])
    impose(builder, node, {1: channels})


def _check_kernel(node: Node) -> None:
    stated = node.attributes.get("kernel_shape")
    weights = node.shape(1)[2:]
    if not all(isinstance(n, int) for n in weights):
        raise node.refuse("weights of dynamic extents; give shapes for the model's inputs")
    if stated is not None and list(stated) != weights:
        raise node.refuse(f"a kernel_shape of {list(stated)} with weights of {weights}")
