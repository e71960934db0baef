"""The session of ONNX Runtime, as far as running a model needs it.

``import quake_tvm.integrations.onnxruntime as ort`` in the place of ``import onnxruntime as ort``.
Needs no ONNX Runtime. Knows :func:`quake_tvm.compile` and nothing below it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike

from .. import tvm_version  # noqa: F401  # loads TVM, without torch
from ..compiler import compile
from ..errors import QuakeError
from ..runtime.model_tensor import ModelTensor

logger = logging.getLogger(__name__)

PROVIDER = "CPUExecutionProvider"
# ONNX Runtime's names of element types that are not numpy's.
_TYPES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class NodeArg:
    """An input or output: its name, its shape (dynamic dimensions by name) and its type."""

    name: str
    shape: list[int | str]
    type: str


@dataclass
class SessionOptions:
    """Settings that programs for ONNX Runtime set. See :class:`InferenceSession`."""

    intra_op_num_threads: int = 0
    inter_op_num_threads: int = 0
    graph_optimization_level: Any = None
    execution_mode: Any = None
    log_severity_level: int = 2


def get_available_providers() -> list[str]:
    """The CPU."""
    return [PROVIDER]


class InferenceSession:
    """A compiled model with the interface of ``onnxruntime.InferenceSession``.

    Parameters
    ----------
    path_or_bytes : path or bytes
        An ONNX file, or its content.
    sess_options : SessionOptions, optional
        Of ONNX Runtime or of this module. Nothing of it is used: a warning says so if its number of
        threads is set.
    providers, provider_options : sequence, optional
        The providers must have ``"CPUExecutionProvider"``. Their options are not used.
    **options
        Those of :func:`quake_tvm.compile`: method, shapes, cache and so on.

    Raises
    ------
    QuakeError
        As :func:`quake_tvm.compile`, and for providers without the CPU's.
    """

    def __init__(
        self,
        path_or_bytes: str | Path | bytes,
        sess_options: Any = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[Any] | None = None,
        **options: Any,
    ) -> None:
        if getattr(sess_options, "intra_op_num_threads", 0):
            logger.warning("intra_op_num_threads is not used: set TVM_NUM_THREADS before the start")
        names = [p if isinstance(p, str) else p[0] for p in providers or [PROVIDER]]
        if PROVIDER not in names:
            raise QuakeError(f"models run on the CPU only: providers=[{PROVIDER!r}]")
        model: Any = path_or_bytes
        if isinstance(model, bytes):
            try:
                model = onnx.ModelProto.FromString(model)
            except Exception:
                raise QuakeError("these bytes are no ONNX model") from None
        self.model = compile(model, **options)

    def __repr__(self) -> str:
        return f"<quake_tvm.integrations.onnxruntime.InferenceSession of {self.model!r}>"

    def get_inputs(self) -> list[NodeArg]:
        """The inputs in order."""
        return list(map(_node_arg, self.model.inputs))

    def get_outputs(self) -> list[NodeArg]:
        """The outputs in order."""
        return list(map(_node_arg, self.model.outputs))

    def get_providers(self) -> list[str]:
        """The CPU."""
        return [PROVIDER]

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, ArrayLike],
        run_options: Any = None,
    ) -> list[np.ndarray]:
        """Run the model.

        Parameters
        ----------
        output_names : sequence of str or None
            The outputs to return, in this order; None or none: all.
        input_feed : mapping of str to array
        run_options
            Not used.

        Raises
        ------
        QuakeError
            As :meth:`quake_tvm.Model.run`, and for unknown outputs.
        """
        names = [output.name for output in self.model.outputs]
        if isinstance(output_names, str):
            raise QuakeError(f"give a list of output names: [{output_names!r}]")
        wanted = output_names or names
        for name in wanted:
            if name not in names:
                raise QuakeError(f"unknown output {name!r}; the model's: {', '.join(names)}")
        found = dict(zip(names, self.model.run(dict(input_feed)), strict=True))
        return [found[name] for name in wanted]


def _node_arg(tensor: ModelTensor) -> NodeArg:
    kind = _TYPES.get(tensor.dtype, tensor.dtype)
    return NodeArg(tensor.name, list(tensor.shape), f"tensor({kind})")
