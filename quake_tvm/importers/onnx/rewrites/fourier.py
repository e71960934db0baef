"""DFT and STFT as products with a matrix of cosines and sines.

The number of points must be known, and the windows of STFT be constants. The matrix is computed in
float64 and rounded once. A complex number is two elements of the last axis.
"""

import numpy as np
import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph, attributes

# The most elements of the matrix: 256 MiB of float32, real signals of 5,792 points.
_MOST = 1 << 26
# Since this opset the axis of DFT is an input.
_AXIS_IS_INPUT = 20


def dft(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit a product along one axis.

    Raises
    ------
    QuakeError
        For sizes that only a run knows, axes out of range, and too many points.
    """
    given = attributes(node)
    x, shape = node.input[0], graph.shape(node.input[0])
    axis = given.get("axis", 1)
    if graph.opset >= _AXIS_IS_INPUT:
        axis = _number(node, graph, 2, -2)
    inverse, onesided = (bool(given.get(name, 0)) for name in ("inverse", "onesided"))
    if shape is None or axis is None:
        raise QuakeError("DFT needs a known rank and axis: give shapes for the model's inputs")
    rank = len(shape)
    if not -rank <= axis < rank or axis % rank == rank - 1:
        raise QuakeError(
            f"DFT along axis {axis} of {rank} dimensions, the last of which holds complex numbers"
        )
    axis %= rank
    count = shape[axis]
    whole = count if count is None or not (inverse and onesided) else 2 * (count - 1)
    points = _number(node, graph, 1, whole)
    if points is None or count is None:
        raise QuakeError("DFT needs a known number of points: give shapes for the model's inputs")
    matrix = _matrix(node.op_type, (count, shape[-1]), points, inverse, onesided)
    order = [*(k for k in range(rank - 1) if k != axis), axis, rank - 1]
    flat = matrix.shape[0] * matrix.shape[1]
    rows = _reshaped(graph, graph.emit("Transpose", [x], perm=order), rank - 2, [flat])
    weights = graph.constant(matrix.reshape(flat, -1), graph.dtype(x), "matrix")
    product = graph.emit("MatMul", [rows, weights])
    spectrum = _reshaped(graph, product, rank - 2, matrix.shape[2:])
    graph.emit("Transpose", [spectrum], node.output[0], perm=np.argsort(order).tolist())


def stft(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit a convolution whose stride is the step of the frames.

    Raises
    ------
    QuakeError
        For frames or windows that only a run knows, a window of another length, and no step.
    """
    x, shape = node.input[0], graph.shape(node.input[0])
    step = _number(node, graph, 1, None)
    window = None
    if len(node.input) > 2 and node.input[2]:
        window = graph.constant_value(node.input[2])
        if window is None:
            raise QuakeError("STFT needs a constant window")
    points = _number(node, graph, 3, None if window is None else len(window))
    if shape is None or step is None or points is None:
        raise QuakeError("STFT needs a known rank, frame_step and frame_length")
    if step < 1:
        raise QuakeError(f"STFT of a step of {step}")
    if window is not None and len(window) != points:
        raise QuakeError(f"STFT has a window of {len(window)} elements for frames of {points}")
    parts = shape[2] if len(shape) == 3 else 1
    onesided = bool(attributes(node).get("onesided", 1))
    matrix = _matrix(node.op_type, (points, parts), points, False, onesided)
    if window is not None:
        matrix *= window.astype(np.float64)[:, None, None, None]
    if len(shape) == 3:
        signal = graph.emit("Transpose", [x], perm=[0, 2, 1])
    else:
        signal = graph.emit("Unsqueeze", [x, graph.constant([1], TensorProto.INT64, "axes")])
    filters = matrix.reshape(*matrix.shape[:2], -1).transpose(2, 1, 0)
    weights = graph.constant(filters, graph.dtype(x), "matrix")
    frames = graph.emit("Conv", [signal, weights], strides=[step], kernel_shape=[points])
    last = graph.emit("Transpose", [frames], perm=[0, 2, 1])
    _reshaped(graph, last, 2, matrix.shape[2:], node.output[0])


def _number(node: onnx.NodeProto, graph: Graph, index: int, default: int | None) -> int | None:
    """An optional input of one number; None if only a run knows it."""
    if len(node.input) <= index or not node.input[index]:
        return default
    value = graph.constant_value(node.input[index])
    return None if value is None else int(value.reshape(()))


def _matrix(
    operator: str, signal: tuple[int, int | None], points: int, inverse: bool, onesided: bool
) -> np.ndarray:
    """The transform as a matrix.

    Parameters
    ----------
    operator : str
    signal : two int
        The elements of the signal, and 1 for a real one, 2 for a complex one.
    points : int
        Those of the transform. A longer signal is cut, a shorter one ends with zeros.
    inverse, onesided : bool

    Returns
    -------
    ndarray
        float64, of shape (elements, 1 or 2, results, 2), or 1 at the end for real results.
    """
    count, parts = signal
    if parts not in (1, 2):
        raise QuakeError(f"{operator} needs a last dimension of 1 or 2, not {parts}")
    if onesided and parts != 1 + inverse:
        kind = "of a real spectrum" if inverse else "of a complex signal"
        raise QuakeError(f"{operator} {kind} cannot be one-sided")
    if points < 1:
        raise QuakeError(f"{operator} of {points} points")
    half = points // 2 + 1 if onesided else points
    results = points if inverse else half
    if count * parts * results * 2 > _MOST:
        raise QuakeError(f"{operator} of {points} points is too large for a product by a matrix")
    used = min(count, half if inverse else points)
    turns = np.outer(np.arange(used), np.arange(results)) % points / points
    cosine, sine = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    if inverse:
        cosine, sine = cosine / points, -sine / points
    if inverse and onesided:  # each frequency stands for its mirror image, too
        single = np.isin(np.arange(used) * 2, (0, points))[:, None]
        cosine, sine = (np.where(single, part, 2 * part) for part in (cosine, sine))
    matrix = np.zeros((count, parts, results, 2))
    matrix[:used, 0, :, 0], matrix[:used, 0, :, 1] = cosine, -sine
    if parts == 2:
        matrix[:used, 1, :, 0], matrix[:used, 1, :, 1] = sine, cosine
    return matrix[..., :1] if inverse and onesided else matrix


def _reshaped(
    graph: Graph, x: str, kept: int, last: list[int] | tuple[int, ...], output: str = ""
) -> str:
    """A reshape that keeps the first extents."""
    shape = graph.constant([*[0] * kept, *last], TensorProto.INT64, "shape")
    return graph.emit("Reshape", [x, shape], output)
