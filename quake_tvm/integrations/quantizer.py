"""Quantize an ONNX model with static scales, by onnxruntime's quantizer.

The result is a QDQ model for :func:`quake_tvm.compile`. Knows no pass and no target.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import QuakeError, last_line
from ..support import given
from ..support.whole_file import check_writable, whole_file

_QUANTIZED = {"QuantizeLinear", "DequantizeLinear"}


def quantize(
    model: str | Path,
    calibration: Iterable[Mapping[str, ArrayLike]],
    output: str | Path,
    *,
    operators: Sequence[str] | None = None,
) -> Path:
    """Write a model whose tensors are bytes with scales that calibration has found.

    Weights become int8 with a scale for each channel, activations uint8 with one scale and one zero
    point for each tensor, which span the values that the calibration has shown.

    Parameters
    ----------
    model : path
        An ONNX model of float32.
    calibration : iterable of mapping of input name to array
        The inputs of typical calls.
    output : path
        The QDQ model to write.
    operators : sequence of str, optional
        The model's ONNX operators to quantize, ``["MatMul"]`` for instance. By default all for
        which onnxruntime has a quantized form.

    Returns
    -------
    Path
        ``output``.

    Raises
    ------
    QuakeError
        If onnxruntime is missing, if a call does not fit the model, is empty or has NaN, if there
        is no call, if the model has no such operator or is quantized already, if a scale would be
        infinite, or if onnxruntime cannot quantize the model, or finds nothing to quantize.
    """
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError:
        raise QuakeError("quake_tvm.quantize needs onnxruntime: pip install onnxruntime") from None
    model, output = given.file(model, "model", ".onnx"), given.path(output, "output")
    check_writable(output, but=model)
    given_calls = given.calls(calibration, "the calibration")
    if not all(isinstance(call, Mapping) for call in given_calls):
        raise QuakeError("the inputs of a call must be a mapping of name to array, as {'x': x}")
    calls = [
        {
            name: _array(value, f"call {number} of the calibration: {name!r}")
            for name, value in pairs
        }
        for number, pairs in enumerate(call.items() for call in given_calls)
    ]

    class Calls(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(calls)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._left, None)

    graph = _graph(model)
    _check_inputs(graph, calls)
    chosen = None if operators is None else _chosen(operators, graph, model)
    with tempfile.TemporaryDirectory() as folder, whole_file(output) as file, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        try:
            quant_pre_process(model, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                file,
                Calls(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=chosen,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        except Exception as error:  # onnxruntime's have no common class
            hint = "; the calibration has infinities" if _infinite(calls) else ""
            said = f"onnxruntime cannot quantize {model}: {last_line(error)}{hint}"
            raise QuakeError(said) from error
        _check_result(file, model)
    return output


def _array(value: ArrayLike, what: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception as error:  # what an object's own conversion raises
        raise QuakeError(f"{what} is no array: {last_line(error)}") from None


def _infinite(calls: Sequence[Mapping[str, np.ndarray]]) -> bool:
    return any(a.dtype.kind == "f" and np.isinf(a).any() for call in calls for a in call.values())


def _graph(model: Path) -> Any:
    """The graph of a file that is an ONNX model and not quantized yet."""
    import onnx

    try:
        graph = onnx.load(model, load_external_data=False).graph
    except Exception as error:  # protobuf's have no common class
        raise QuakeError(f"{model} cannot be read as an ONNX model: {last_line(error)}") from None
    if _QUANTIZED & {node.op_type for node in graph.node}:
        raise QuakeError(f"{model} is quantized already: compile it as it is")
    return graph


def _chosen(operators: Sequence[str], graph: Any, model: Path) -> list[str]:
    """The operators to quantize, by the names that they have after onnxruntime's preparation."""
    if isinstance(operators, str) or not operators:
        raise QuakeError("operators must be a list of names of ONNX operators, as ['MatMul']")
    present = {node.op_type for node in graph.node}
    for name in operators:
        if name not in present:
            found = ", ".join(sorted(present))
            raise QuakeError(f"{model} has no operator {name!r} to quantize; it has {found}")
    # The preparation makes Gemm of a MatMul and an Add.
    return [*operators, "Gemm"] if "MatMul" in operators else list(operators)


def _check_inputs(graph: Any, calls: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Refuse calls with other inputs than the model's."""
    constants = {tensor.name for tensor in graph.initializer}
    taken = {value.name: value for value in graph.input if value.name not in constants}
    for number, call in enumerate(calls):
        if sorted(call) != sorted(taken):
            found = ", ".join(sorted(call)) or "nothing"
            raise QuakeError(
                f"call {number} of the calibration has {found}; the model takes {', '.join(taken)}"
            )
        for name, array in call.items():
            fault = _fault(array, taken[name])
            if fault:
                raise QuakeError(f"call {number} of the calibration: {name!r} {fault}")


def _fault(array: np.ndarray, value: Any) -> str:
    """Why an array cannot calibrate an input of a graph; empty if it can."""
    from onnx import helper

    kind = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type) if kind.elem_type else object)
    if array.dtype != dtype and dtype.kind != "O":
        return f"has the type {array.dtype}; the model takes {dtype}"
    if kind.HasField("shape"):
        sizes = [d.dim_value or d.dim_param or "?" for d in kind.shape.dim]
        pairs = zip(sizes, array.shape, strict=False)
        if len(sizes) != array.ndim or any(isinstance(n, int) and n != m for n, m in pairs):
            wanted = ", ".join(map(str, sizes))
            return f"has the shape {array.shape}; the model takes ({wanted})"
    if not array.size:
        return "has no elements: give a typical input"
    if array.dtype.kind == "f" and np.isnan(array).any():
        return "has NaN: give a typical input"
    return ""


def _check_result(path: Path, model: Path) -> None:
    """Refuse a file without quantizations, and one of which some scale is no number."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in _QUANTIZED]
    if not nodes:
        raise QuakeError(
            f"onnxruntime's quantizer has no quantized form of these operators of {model}"
        )
    for node in nodes:
        scale = values.get(node.input[1])
        if scale is not None and not np.isfinite(numpy_helper.to_array(scale)).all():
            raise QuakeError(
                f"{node.input[0]!r} has no finite scale: the calibration or the weights have "
                "infinities or values near the largest float32"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantizer's hints, which are about its own options."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
