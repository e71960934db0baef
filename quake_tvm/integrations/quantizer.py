"""Quantize an ONNX model with static scales, by onnxruntime's quantizer.

The result is a QDQ model for :func:`quake_tvm.compile`. Knows no pass and no target.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..errors import QuakeError, last_line
from ..support import given
from ..support.whole_file import check_writable, whole_file


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
        The ONNX operators to quantize, ``["MatMul"]`` for instance. By default all for which
        onnxruntime has a quantized form.

    Returns
    -------
    Path
        ``output``.

    Raises
    ------
    QuakeError
        If onnxruntime is missing, if a call does not fit the model, if there is no call, or if
        onnxruntime cannot quantize the model.
    """
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError:
        raise QuakeError("quake_tvm.quantize needs onnxruntime: pip install onnxruntime") from None
    model, output = Path(model), Path(output)
    check_writable(output, but=model)
    given_calls = given.calls(calibration, "the calibration")
    if not all(isinstance(call, Mapping) for call in given_calls):
        raise QuakeError("the inputs of a call must be a mapping of name to array, as {'x': x}")
    calls = [{name: np.asarray(array) for name, array in call.items()} for call in given_calls]

    class Calls(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(calls)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._left, None)

    _check_inputs(model, calls)
    with tempfile.TemporaryDirectory() as folder, whole_file(output) as file, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        try:
            quant_pre_process(model, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                file,
                Calls(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=None if operators is None else list(operators),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        except Exception as error:  # onnxruntime's have no common class
            raise QuakeError(f"onnxruntime cannot quantize {model}: {last_line(error)}") from error
    return output


def _check_inputs(model: Path, calls: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Refuse a file that is no ONNX model, and calls with other inputs than the model's."""
    import onnx

    try:
        graph = onnx.load(model, load_external_data=False).graph
    except Exception as error:  # protobuf's have no common class
        raise QuakeError(f"{model} cannot be read as an ONNX model: {last_line(error)}") from None
    constants = {tensor.name for tensor in graph.initializer}
    names = [value.name for value in graph.input if value.name not in constants]
    for number, call in enumerate(calls):
        if sorted(call) != sorted(names):
            found = ", ".join(sorted(call)) or "nothing"
            raise QuakeError(
                f"call {number} of the calibration has {found}; the model takes {', '.join(names)}"
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
