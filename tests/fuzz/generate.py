"""From a seed to a graph: its nodes, its outputs, and its dynamic dimensions."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Importing these modules adds their makers to the table.
from . import (  # noqa: F401
    compositions,
    elementwise,
    images,
    movement,
    others,
    products,
    quantized,
    rows,
)
from . import shapes as _shapes  # noqa: F401
from . import shapes_of_images as _shapes_of_images  # noqa: F401
from .graph import Graph, Skip, as_model, value_info
from .makers import MAKERS
from .sizes import of_other_sizes, with_names

OPSETS = [9, 11, 13, 13, 17, 17, 18, 20, 21, 22, 23]
# The share of graphs with symbolic dimensions, and of these the share whose bits are compared with
# those of a static build.
DYNAMIC, BITS = 1 / 3, 0.1
# Operators that often follow the kernels that schedule rules are made for.
TAILS = ["Slice", "Slice", "Pad", "Concat", "Add", "Mul", "Transpose", "Cast", "Reshape", "silu"]


@dataclass
class Case:
    """A model and the inputs to run it on.

    The first entry of ``feeds`` has the shapes that the graph was made with. If the model has
    dynamic dimensions, the other entries have other shapes; ONNX Runtime may refuse some of them.
    ``bits`` is the entry whose outputs must have the bits of a static build, if any.
    """

    seed: int
    model: onnx.ModelProto
    feeds: list[dict[str, np.ndarray]] = field(default_factory=list)
    bits: int | None = None

    @property
    def dynamic(self) -> bool:
        """Whether an input has a dynamic dimension."""
        shapes = (i.type.tensor_type.shape for i in self.model.graph.input)
        return any(d.dim_param for shape in shapes for d in shape.dim)

    @property
    def operators(self) -> set[str]:
        """The operators of the graph, Microsoft's with their domain."""
        return {f"{n.domain}.{n.op_type}".lstrip(".") for n in self.model.graph.node}


def opset_of(seed: int) -> int:
    """The opset of a seed. Eight seeds in a row have the same, so their graphs can be one model."""
    return OPSETS[(seed // 8) % len(OPSETS)]


def generate(seed: int, share: float = DYNAMIC) -> Case:
    """The graph of a seed. A share of the graphs has symbolic dimensions, and the same nodes."""
    random = np.random.default_rng(seed)
    graph = Graph(random, opset_of(seed), f"g{seed}_", special=random.random() < 0.15)
    names = list(MAKERS)
    weights = np.array([MAKERS[name][1] for name in names])
    wanted = graph.pick([1, 1, 2, 3, 4, 5, 6, 8])
    made = tries = 0
    last_size = 0
    with np.errstate(all="ignore"):
        while made < wanted or not graph.nodes:
            tries += 1
            behind = made and graph.chance(0.3)
            name = graph.pick(TAILS) if behind else random.choice(names, p=weights / weights.sum())
            try:
                MAKERS[name][0](graph, name)
            except Skip:
                if tries > 60 and graph.nodes:
                    break
                continue
            made += len(graph.nodes) > last_size
            last_size = len(graph.nodes)
    case = _finished(graph, seed)
    random = np.random.default_rng([seed, 1])
    if random.random() < share:
        _make_dynamic(case, Graph(random, graph.opset, graph.prefix, graph.special))
    return case


def _make_dynamic(case: Case, graph: Graph) -> None:
    extents = with_names(graph, case.model, case.feeds[0])
    if extents:
        case.feeds += of_other_sizes(graph, case.model, case.feeds[0], extents)
        if graph.chance(BITS):
            case.bits = graph.integer(0, len(case.feeds) - 1)


def _finished(graph: Graph, seed: int) -> Case:
    used = {i for node in graph.nodes for i in node.input}
    produced = [o for node in graph.nodes for o in node.output if o in graph.values]
    leaves = [o for o in produced if o not in used]
    more = [o for o in produced if o in used and graph.chance(0.1)]
    outputs = [*leaves, *more]
    if graph.chance(0.05) and graph.inputs:
        outputs.append(graph.pick(list(graph.inputs)))
    if graph.chance(0.03) and graph.constants:
        outputs.append(graph.pick(list(graph.constants)))
    graph.random.shuffle(outputs)
    nodes = needed(graph.nodes, outputs)
    read = {i for node in nodes for i in _reads(node)} | set(outputs)
    feeds = {name: v for name, v in graph.inputs.items() if name in read}
    inputs = [value_info(name, value) for name, value in feeds.items()]
    proto = helper.make_graph(
        nodes,
        f"seed{seed}",
        inputs,
        [value_info(name, graph.values[name]) for name in outputs],
        [numpy_helper.from_array(v, n) for n, v in graph.constants.items() if n in read],
    )
    return Case(seed, as_model(proto, graph.opset), [feeds])


def _reads(node: onnx.NodeProto) -> set[str]:
    inner = (n for a in node.attribute for n in a.g.node)
    return {i for n in (node, *inner) for i in n.input}


def needed(nodes: list[onnx.NodeProto], outputs: list[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= _reads(node)
    return kept[::-1]
