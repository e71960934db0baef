"""A graph of torch's Dynamo: which arguments are weights, inputs and sizes; its exported program.

Knows torch, and nothing of this library.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from .graph_outputs import GraphOutputs, Unsuitable, memory_of
from .weights import Weight

# Dynamo sets it on the tensors that are weights.
_STATIC = "_dynamo_static_input_type"
# Operators whose result depends on where elements lie in memory.
_OF_MEMORY = {"as_strided", "as_strided_", "as_strided_copy", "as_strided_scatter"}
# Of a call: the identities of the parameters, and the numbers.
Key = tuple[tuple[int, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Graph:
    """A graph and its arguments.

    Attributes
    ----------
    module : torch.fx.GraphModule
    outputs : GraphOutputs
    weights : dict
        The position of an argument that is a weight to the weight.
    sizes : dict
        The position of an argument that is read as a size to the position of a tensor and its axis.
    numbers : tuple of int
        The positions of Python's floats, which Dynamo passes as tensors if sizes vary from the
        start. They are constants of a build.
    examples : dict
        The positions of the other tensors to examples of them.
    parameters : tuple of int
        The positions of the weights that are parameters.
    """

    module: fx.GraphModule
    outputs: GraphOutputs
    weights: dict[int, Weight]
    sizes: dict[int, tuple[int, int]]
    numbers: tuple[int, ...]
    examples: dict[int, torch.Tensor]
    parameters: tuple[int, ...]

    @staticmethod
    def of(module: fx.GraphModule, arguments: Sequence[Any]) -> "Graph":
        """A graph from what Dynamo gives.

        Raises
        ------
        Unsuitable
            For an argument that is neither a tensor nor the size of one, for one that is read by
            strides, and for outputs that do not follow from computed tensors.
        """
        nodes = module.graph.find_nodes(op="placeholder")
        _check_strides(module.graph)
        weights = {k: Weight(a) for k, a in enumerate(arguments) if hasattr(a, _STATIC)}
        others = {
            k: a
            for k, a in enumerate(arguments)
            if isinstance(a, torch.Tensor) and k not in weights
        }
        numbers = tuple(k for k, a in others.items() if _is_number(nodes[k], a))
        examples = {k: a for k, a in others.items() if k not in numbers}
        axes: dict[str, tuple[int, int]] = {}
        for k in examples:
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
        parameters = tuple(k for k in weights if isinstance(arguments[k], torch.nn.Parameter))
        outputs = GraphOutputs(module.graph, axes)
        return Graph(module, outputs, weights, sizes, numbers, examples, parameters)

    def exported(self, arguments: Sequence[Any]) -> torch.export.ExportedProgram | None:
        """The values to compute as functions of :meth:`inputs`; None if there are none.

        Raises
        ------
        Unsuitable
            If the graph writes into an argument.
        Exception
            Any type, from torch.export.
        """
        placeholders = self.module.graph.find_nodes(op="placeholder")
        dynamic = [
            {
                axis: torch.export.Dim.AUTO
                for axis, n in enumerate(placeholders[k].meta["example_value"].shape)
                if isinstance(n, torch.SymInt)
            }
            for k in self.examples
        ]
        # torch.export fails on examples that share memory.
        examples = [
            example.detach().clone(memory_format=torch.contiguous_format)
            for example in self.examples.values()
        ]
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own, of deprecated parts of itself
            program = torch.export.export(
                _Body(self, arguments).eval(),
                tuple(examples),
                dynamic_shapes=(tuple(dynamic),) if dynamic else None,
                strict=False,
            ).run_decompositions({})  # which makes writes into arguments outputs
        signature = program.graph_signature
        written = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
        if written:
            raise Unsuitable(
                "the graph writes into its inputs or weights, as batch norms do in training mode: "
                "if it has any, call eval() of the module first"
            )
        return program if self.outputs.computed else None

    @property
    def operators(self) -> int:
        """The number of the graph's operators."""
        return sum(node.op.startswith("call_") for node in self.module.graph.nodes)

    def key(self, arguments: Sequence[Any]) -> Key:
        """Which parameters, for as long as they exist, and which numbers are among these."""
        parameters = tuple([id(arguments[k]) for k in self.parameters])
        return parameters, tuple([float(arguments[k]) for k in self.numbers])

    def same_weights(self, arguments: Sequence[Any]) -> bool:
        """Whether the weights are those of the graph, with the values that they had."""
        return all(weight.same(arguments[k]) for k, weight in self.weights.items())

    def uncounted(self) -> bool:
        """Whether the values of parameters are compared at every call."""
        return any(weight.uncounted for weight in self.weights.values())

    def alive(self) -> bool:
        """Whether the weights exist."""
        return all(weight.alive for weight in self.weights.values())

    def with_weights(self, arguments: Sequence[Any]) -> "Graph":
        """The graph with the weights among these arguments.

        Buffers that changed while the parameters stayed become inputs: they may change at every
        call.
        """
        changed = {k for k, weight in self.weights.items() if not weight.same(arguments[k])}
        inputs = set() if changed.intersection(self.parameters) else changed
        return replace(
            self,
            weights={k: Weight(arguments[k]) for k in self.weights if k not in inputs},
            examples={**self.examples, **{k: arguments[k] for k in sorted(inputs)}},
        )

    def inputs(self, arguments: Sequence[Any]) -> list[torch.Tensor]:
        """The tensors of a call that are no weights."""
        return [arguments[k] for k in self.examples]


class _Body(torch.nn.Module):
    """The graph as a module of its tensors: weights are buffers, and sizes those of the tensors."""

    def __init__(self, graph: Graph, arguments: Sequence[Any]) -> None:
        super().__init__()
        numbers = {k: float(arguments[k]) for k in graph.numbers}
        self.graph = graph
        self.graph_module = _computing(graph.module, graph.outputs.computed, numbers)
        for k in graph.weights:
            self.register_buffer(f"weight_{k}", arguments[k].detach())

    def forward(self, *tensors: torch.Tensor) -> tuple[Any, ...]:
        at: dict[int, Any] = dict(zip(self.graph.examples, tensors, strict=True))
        at |= {k: getattr(self, f"weight_{k}") for k in self.graph.weights}
        at |= {k: at[tensor].shape[axis] for k, (tensor, axis) in self.graph.sizes.items()}
        count = len(self.graph_module.graph.find_nodes(op="placeholder"))
        return self.graph_module(*(at.get(k) for k in range(count)))


def _check_strides(graph: fx.Graph) -> None:
    """Raise Unsuitable for an operator that reads an argument by strides.

    The compiled code gets contiguous tensors, whatever the strides of the arguments.
    """
    given = {memory_of(node) for node in graph.find_nodes(op="placeholder")} - {None}
    for node in graph.nodes:
        strided = getattr(node.target, "__name__", node.target) in _OF_MEMORY
        if strided and any(memory_of(x) in given for x in node.all_input_nodes[:1]):
            raise Unsuitable(f"{node.name} reads an argument by strides")


def _is_number(node: fx.Node, argument: torch.Tensor) -> bool:
    """Whether an argument is a float of Python, of which the graph takes the item only."""
    if argument.dim() or argument.dtype != torch.float64 or not node.users:
        return False
    return all(user.op == "call_method" and user.target == "item" for user in node.users)


def _computing(
    module: fx.GraphModule, values: Sequence[fx.Node], numbers: Mapping[int, float]
) -> fx.GraphModule:
    """The module with these values as its outputs, and with these numbers as constants."""
    graph = fx.Graph()
    placeholders = module.graph.find_nodes(op="placeholder")
    copies: dict[fx.Node, Any] = {
        read: number for k, number in numbers.items() for read in placeholders[k].users
    }
    graph.graph_copy(module.graph, copies)
    graph.output(tuple(copies[value] for value in values))
    return fx.GraphModule(module, graph)
