"""``torch.compile(module, backend="quake_tvm", options={...})``.

torch finds the backend by the package's entry point. A graph that cannot be compiled runs in eager
mode, with a warning. Knows graphs of Dynamo and :func:`quake_tvm.compile`, no operator.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from ..compiler import compile
from ..errors import QuakeError, last_line
from ..passes.relax.pipeline import pipeline
from ..runtime.model import Model
from .dynamo_graph import Graph, Unsuitable

Outputs = tuple[Any, ...]


def backend(
    module: fx.GraphModule, examples: Sequence[Any], options: Mapping[str, Any] | None = None
) -> Callable[..., Outputs]:
    """Compile a graph of Dynamo.

    Parameters
    ----------
    module : torch.fx.GraphModule
    examples : sequence of torch.Tensor or torch.SymInt
        The graph's arguments: inputs, weights, and sizes that vary.
    options : mapping, optional
        Those of :func:`quake_tvm.pipeline`: method, target, precision and so on.

    Returns
    -------
    callable
        Takes the graph's arguments and returns its outputs.

    Raises
    ------
    QuakeError
        For invalid options.

    Notes
    -----
    Weights become constants of the compiled code. If a call finds that a weight has changed, it
    compiles the graph again. Writes through ``weight.data`` cannot be seen: torch does not count
    them.

    These graphs run in eager mode, with a warning: graphs that record gradients, with tensors on
    other devices than the CPU, that write into their inputs, or with an operator that cannot be
    compiled. A call whose sizes the compiled code does not take runs in eager mode too.
    """
    given = dict(options or {})
    pipeline(**{"target": "native", **given})  # raises for invalid options, whatever the graph
    if reason := _unsuitable(examples):
        return _eager(module, reason)
    try:
        return _Compiled(Graph.of(module, examples), given)
    except (QuakeError, Unsuitable) as error:
        return _eager(module, str(error))


def _unsuitable(examples: Sequence[Any]) -> str:
    """Why a graph with these arguments is not compiled; empty if it may be."""
    tensors = [e for e in examples if isinstance(e, torch.Tensor)]
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return "it records gradients; call the module under torch.inference_mode()"
    if devices := {t.device.type for t in tensors} - {"cpu"}:
        return f"it has tensors on {', '.join(sorted(devices))}"
    return ""


def _eager(module: fx.GraphModule, reason: str) -> Callable[..., Outputs]:
    warnings.warn(f"quake_tvm leaves a graph to eager mode: {reason}", stacklevel=2)
    return module.forward


class _Compiled:
    """A graph's compiled model, called like the graph."""

    def __init__(self, graph: Graph, options: dict[str, Any]) -> None:
        self._graph, self._options = graph, options
        self._warned = False
        self._model = self._compile()

    def _compile(self) -> Model | None:
        """The model; None if the graph computes nothing."""
        try:
            program = self._graph.exported()
        except Unsuitable:
            raise
        except Exception as error:  # torch.export raises any type
            raise QuakeError(f"torch.export fails: {last_line(error)[:200]}") from error
        return None if program is None else compile(program, **self._options)

    def __call__(self, *arguments: Any) -> Outputs:
        if self._graph.outdated(arguments):
            self._graph = self._graph.with_weights(arguments)
            self._model = self._compile()
        tensors = self._graph.inputs(arguments)
        try:
            found = [] if self._model is None else self._model.run(tensors)
        except QuakeError as error:
            if not self._warned:
                self._warned = True
                warnings.warn(f"quake_tvm leaves a call to eager mode: {error}", stacklevel=2)
            return self._graph.module(*arguments)
        return self._graph.outputs([_tensor(array) for array in found], arguments)


def _tensor(array: np.ndarray) -> torch.Tensor:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
