"""A graph of torch's Dynamo: which arguments are weights, inputs and sizes; its exported program.

Knows torch, and nothing of this library.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import fx

# Dynamo sets it on the tensors that are weights.
_STATIC = "_dynamo_static_input_type"


class Unsuitable(Exception):
    """The graph cannot be exported; the message says why."""


@dataclass(frozen=True)
class Graph:
    """A graph and its arguments.

    Attributes
    ----------
    module : torch.fx.GraphModule
    weights : dict
        The position of an argument that is a weight to the tensor and its version.
    tensors : list of int
        The positions of the other tensors.
    sizes : dict
        The position of an argument that is read as a size to the position of a tensor and its axis.
    examples : list of torch.Tensor
        A tensor for each of ``tensors``.
    """

    module: fx.GraphModule
    weights: dict[int, tuple[torch.Tensor, int]]
    tensors: list[int]
    sizes: dict[int, tuple[int, int]]
    examples: list[torch.Tensor]

    @staticmethod
    def of(module: fx.GraphModule, arguments: Sequence[Any]) -> "Graph":
        """A graph from what Dynamo gives.

        Raises
        ------
        Unsuitable
            For an argument that is neither a tensor nor the size of one.
        """
        nodes = module.graph.find_nodes(op="placeholder")
        weights = {k: _versioned(a) for k, a in enumerate(arguments) if hasattr(a, _STATIC)}
        tensors = [
            k for k, a in enumerate(arguments) if isinstance(a, torch.Tensor) and k not in weights
        ]
        axes: dict[str, tuple[int, int]] = {}
        for k in tensors:
            for axis, n in enumerate(nodes[k].meta["example_value"].shape):
                axes.setdefault(str(n), (k, axis))
        sizes = {}
        for k, argument in enumerate(arguments):
            read = any(user.op != "output" for user in nodes[k].users)
            if isinstance(argument, torch.Tensor) or not read:
                continue
            name = str(nodes[k].meta["example_value"])
            if not isinstance(argument, torch.SymInt) or name not in axes:
                raise Unsuitable(f"{nodes[k].name} is a number that is not a tensor's size")
            sizes[k] = axes[name]
        return Graph(module, weights, tensors, sizes, [arguments[k] for k in tensors])

    def exported(self) -> torch.export.ExportedProgram | None:
        """The graph's tensors as functions of ``tensors``; None if it computes nothing.

        Raises
        ------
        Unsuitable
            If the graph writes into an argument.
        Exception
            Any type, from torch.export.
        """
        # Dynamo's own context has fake tensors only, so the export gets none.
        if not self._computed():
            return None
        dynamic = [
            {
                axis: torch.export.Dim.AUTO
                for axis, n in enumerate(self._placeholders()[k].meta["example_value"].shape)
                if isinstance(n, torch.SymInt)
            }
            for k in self.tensors
        ]
        with warnings.catch_warnings(), torch._guards.tracing(None), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own, of deprecated parts of itself
            program = torch.export.export(
                _Body(self).eval(),
                tuple(self.examples),
                dynamic_shapes=(tuple(dynamic),),
                strict=False,
            ).run_decompositions({})  # which makes writes into arguments outputs
        signature = program.graph_signature
        written = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
        if written:
            raise Unsuitable("the graph writes into its inputs or weights")
        return program

    def outdated(self, arguments: Sequence[Any]) -> bool:
        """Whether a weight is another tensor, or has been written, since the graph was made."""
        return any(
            arguments[k] is not weight or _version(weight) != version
            for k, (weight, version) in self.weights.items()
        )

    def with_weights(self, arguments: Sequence[Any]) -> "Graph":
        """The graph with the weights among these arguments."""
        weights = {k: _versioned(arguments[k]) for k in self.weights}
        return replace(self, weights=weights)

    def inputs(self, arguments: Sequence[Any]) -> list[torch.Tensor]:
        """The tensors of a call that are no weights."""
        return [arguments[k] for k in self.tensors]

    def outputs(self, found: Sequence[torch.Tensor], arguments: Sequence[Any]) -> tuple[Any, ...]:
        """The graph's outputs: computed ones, arguments that are returned, numbers and None."""
        values = iter(found)
        placeholders = {node: k for k, node in enumerate(self._placeholders())}
        outputs = []
        for raw in self._returned():
            if raw in placeholders:
                outputs.append(arguments[placeholders[raw]])
            elif not isinstance(raw, fx.Node):
                outputs.append(raw)
            else:
                value = next(values)
                number = isinstance(raw.meta["example_value"], torch.SymInt | int)
                outputs.append(int(value) if number else value)
        return tuple(outputs)

    def _placeholders(self) -> list[fx.Node]:
        return self.module.graph.find_nodes(op="placeholder")

    def _returned(self) -> tuple[Any, ...]:
        (outputs,) = self.module.graph.output_node().args
        return tuple(cast(Any, outputs))

    def _computed(self) -> list[int]:
        """The positions of the outputs that the graph computes."""
        return [
            place
            for place, raw in enumerate(self._returned())
            if isinstance(raw, fx.Node) and raw.op != "placeholder"
        ]


class _Body(torch.nn.Module):
    """The graph as a module of its tensors: weights are buffers, and sizes those of the tensors."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph_module, self.graph, self.computed = graph.module, graph, graph._computed()
        for k, (weight, _) in graph.weights.items():
            self.register_buffer(f"weight_{k}", weight.detach())

    def forward(self, *tensors: torch.Tensor) -> tuple[Any, ...]:
        at: dict[int, Any] = dict(zip(self.graph.tensors, tensors, strict=True))
        at |= {k: getattr(self, f"weight_{k}") for k in self.graph.weights}
        at |= {k: at[tensor].shape[axis] for k, (tensor, axis) in self.graph.sizes.items()}
        count = len(self.graph._placeholders())
        results = self.graph_module(*(at.get(k) for k in range(count)))
        return tuple(results[place] for place in self.computed)


def _versioned(tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
    return tensor, _version(tensor)


def _version(tensor: torch.Tensor) -> int:
    """How often a tensor has been written; 0 for those of inference mode, which do not count it."""
    return 0 if tensor.is_inference() else tensor._version
