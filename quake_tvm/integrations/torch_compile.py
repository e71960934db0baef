"""``torch.compile(module, backend="quake_tvm", options={...})``.

torch finds the backend by the package's entry point. A graph that cannot be compiled runs in eager
mode, with a warning. Knows graphs of Dynamo and :func:`quake_tvm.compile`, no operator.
"""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import fx

from ..compiler import compile
from ..errors import QuakeError, first_line
from ..options import Options
from ..passes.relax.pipeline import pipeline
from ..runtime.model import Model
from ..support.compiler_lock import compiling
from .dynamo_graph import Graph, Key
from .graph_outputs import Unsuitable

logger = logging.getLogger(__name__)

Outputs = tuple[Any, ...]
# Builds of a module for numbers of Python that change. More would compile at every call.
MOST_NUMBERS = 8
# The names that users may give. ``rung`` takes a Rung and is for the library's own use.
_OPTIONS = {*signature(pipeline).parameters, *signature(Options.parse).parameters} - {
    "options",
    "rung",
}


def backend(
    module: fx.GraphModule,
    examples: Sequence[Any],
    options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Outputs]:
    """Compile a graph of Dynamo.

    Parameters
    ----------
    module : torch.fx.GraphModule
    examples : sequence of torch.Tensor or torch.SymInt
        The graph's arguments: inputs, weights, and sizes that vary.
    options : mapping, optional
        Those of :func:`quake_tvm.pipeline`: method, target, precision and so on.
    mode : str, optional
        torch passes it on, and this backend has none.

    Returns
    -------
    callable
        Takes the graph's arguments and returns its outputs.

    Raises
    ------
    QuakeError
        For invalid options, and for a mode.

    Notes
    -----
    Weights become constants of the compiled code. If a call finds that they are others or have
    changed, it compiles the graph for them: :class:`weights.Weight` says which changes are seen.

    These graphs run in eager mode, with a warning: graphs that record gradients, with tensors on
    other devices than the CPU, that write into their inputs, or with an operator that cannot be
    compiled. A call whose sizes the compiled code does not take runs in eager mode too.
    """
    if mode is not None:
        raise QuakeError(
            f"mode={mode!r} is for torch's own backend: give options={{'method': ...}}"
        )
    given = dict(options or {})
    if unknown := sorted(given.keys() - _OPTIONS):
        names = ", ".join(sorted(_OPTIONS))
        raise QuakeError(f"unknown option {unknown[0]!r}; choose from: {names}")
    pipeline(**{"target": "native", **given})  # raises for invalid options, whatever the graph
    if reason := _unsuitable(examples):
        return _eager(module, reason)
    try:
        return _Compiled(module, examples, given)
    except (QuakeError, Unsuitable) as error:
        return _eager(module, str(error))


def _unsuitable(examples: Sequence[Any]) -> str:
    """Why a graph with these arguments is not compiled; empty if it may be."""
    tensors = [e for e in examples if isinstance(e, torch.Tensor)]
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return "it records gradients; call the module under torch.inference_mode()"
    if devices := {t.device.type for t in tensors} - {"cpu"}:
        return f"it has tensors on {', '.join(sorted(devices))}"
    if any(t.layout != torch.strided for t in tensors):
        return "it has sparse tensors"
    return ""


def _eager(module: fx.GraphModule, reason: str) -> Callable[..., Outputs]:
    warnings.warn(f"quake_tvm leaves a graph to eager mode: {reason}", stacklevel=2)
    return module.forward


class _Compiled:
    """A graph's compiled models, called like the graph: one for every module that it serves.

    Modules of one class, like the layers of an encoder, share a graph of Dynamo.
    """

    def __init__(
        self, module: fx.GraphModule, examples: Sequence[Any], options: dict[str, Any]
    ) -> None:
        self._options, self._warned, self._lock = options, False, threading.Lock()
        self._graph = Graph.of(module, examples)
        self._builds: dict[Key, _Build] = {}
        if self._graph.uncounted():
            warnings.warn(
                "quake_tvm compares all weights at every call, since torch does not count writes "
                "into tensors of inference mode: make the module outside torch.inference_mode()",
                stacklevel=2,
            )
        self._add(self._graph, examples)

    def _add(self, graph: Graph, arguments: Sequence[Any]) -> "_Build":
        """Compile the graph with the weights among these arguments."""
        start = time.perf_counter()
        logger.info("torch.compile: compiling a graph of %d operators", graph.operators)
        # In Dynamo's own context, sizes of the export and of the import would get into its guards.
        # Two exports at a time disturb each other.
        with torch._guards.tracing(None), compiling():
            try:
                program = graph.exported(arguments)
            except Unsuitable:
                raise
            except Exception as error:  # torch.export raises any type
                raise QuakeError(f"torch.export fails: {first_line(error)}") from error
            # The export has the casts of autocast; its import must not make more.
            with torch.autocast("cpu", enabled=False):
                model = None if program is None else compile(program, **self._options)
        logger.info("torch.compile: compiled it in %.2f s", time.perf_counter() - start)
        self._builds = {key: b for key, b in self._builds.items() if b.graph.alive()}
        self._builds[self._graph.key(arguments)] = build = _Build(graph, model)
        return build

    def _build(self, arguments: Sequence[Any]) -> "_Build":
        """The build of the weights among these arguments, as they are now."""
        key = self._graph.key(arguments)
        build = self._builds.get(key)
        if build is None or not build.graph.same_weights(arguments):
            with self._lock:
                build = self._builds.get(key)  # another thread may have made it
                if build is None or not build.graph.same_weights(arguments):
                    if build is None and self._of_module(key) >= MOST_NUMBERS:
                        raise Unsuitable("a number in it has had many values: make it a tensor")
                    graph = self._graph if build is None else build.graph
                    build = self._add(graph.with_weights(arguments), arguments)
        return build

    def _of_module(self, key: Key) -> int:
        """How many builds there are for the module with these parameters."""
        return sum(parameters == key[0] for parameters, _ in self._builds)

    def __call__(self, *arguments: Any) -> Outputs:
        try:
            build = self._build(arguments)
            tensors = build.graph.inputs(arguments)
            found = [] if build.model is None else build.model.run(tensors)
        except (QuakeError, Unsuitable) as error:
            if not self._warned:
                self._warned = True
                warnings.warn(f"quake_tvm leaves a call to eager mode: {error}", stacklevel=2)
            return self._graph.module(*arguments)
        return build.graph.outputs(arguments, [_tensor(array) for array in found])


@dataclass(frozen=True)
class _Build:
    """A graph with its weights, and its model; None if the graph computes nothing."""

    graph: Graph
    model: Model | None


def _tensor(array: np.ndarray) -> torch.Tensor:
    # numpy computes the name of a dtype at each call, which takes longer than all else here
    if array.dtype.kind == "V" and array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
