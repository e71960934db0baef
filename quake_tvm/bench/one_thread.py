"""Peers on one thread, for comparisons by CPU time. Knows no case."""

from typing import Any

import onnx

from .runtimes import Unavailable


def onnx_session(model: onnx.ModelProto) -> Any:
    """ONNX Runtime's session of a model, with all of its optimizations.

    Raises
    ------
    Unavailable
        If ONNX Runtime is not installed.
    """
    try:
        import onnxruntime as ort
    except ImportError:
        raise Unavailable("not installed: pip install onnxruntime") from None
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
