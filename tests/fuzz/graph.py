"""A random ONNX graph while it grows.

Every node is run by ONNX Runtime as it is added: what ONNX Runtime refuses is not added, and makers
of nodes can look at the values of their operands. Knows no operator.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

SIZES = [1, 1, 2, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33]
MAX_ELEMENTS = 12_000
# Special values that some graphs have in their inputs.
SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, -1e-42, 3e38, -3e38, 90.0, -90.0, -700.0]
FLOATS = (np.float16, np.float32, np.float64)
Where = Callable[[np.ndarray], bool]


class Skip(Exception):
    """This node cannot be added to this graph."""


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one thread, with graph optimizations switched off."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def value_info(name: str, value: np.ndarray) -> onnx.ValueInfoProto:
    """The type information of a tensor with this value."""
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
    )


class Graph:
    """Nodes, constants and inputs, each with its value.

    Parameters
    ----------
    random : numpy.random.Generator
    opset : int
    prefix : str
        A prefix of all names, so that several graphs can be one model.
    special : bool
        Whether inputs contain NaN, infinities and similar values.
    """

    def __init__(
        self, random: np.random.Generator, opset: int, prefix: str = "", special: bool = False
    ) -> None:
        self.random, self.opset, self.prefix, self.special = random, opset, prefix, special
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: dict[str, np.ndarray] = {}
        self.values: dict[str, np.ndarray] = {}
        # Tensors that later nodes may use, the oldest first.
        self.pool: list[str] = []

    # Random choices.

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def pick(self, items: Sequence) -> object:
        """A random item."""
        return items[int(self.random.integers(len(items)))]

    def integer(self, low: int, high: int) -> int:
        """A random integer from low to high, both included."""
        return int(self.random.integers(low, high + 1))

    def shape(self, rank: int, limit: int = 2048) -> tuple[int, ...]:
        """A random shape with odd, tiny and sometimes empty extents."""
        while True:
            sizes = [0 if self.chance(0.01) else self.pick(SIZES) for _ in range(rank)]
            if np.prod(sizes) <= limit:
                return tuple(sizes)

    def array(self, dtype: type, shape: Sequence[int], scale: float = 1.0) -> np.ndarray:
        """Random values for an input."""
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return self.random.random(shape) < 0.5
        if dtype.kind in "iu":
            return self.random.integers(-3 * (dtype.kind == "i"), 8, shape).astype(dtype)
        values = np.asarray(self.random.standard_normal(shape) * scale)
        if self.special and values.size:
            count = self.integer(0, 1 + values.size // 8)
            places = self.random.integers(0, values.size, count)
            values.reshape(-1)[places] = self.random.choice(SPECIAL, count)
        with np.errstate(over="ignore"):
            return values.astype(dtype)

    # Tensors.

    def name(self, kind: str) -> str:
        """A new, unique name."""
        return f"{self.prefix}{kind}{len(self.values)}"

    def constant(self, value: object, dtype: type | None = None) -> str:
        """An initializer."""
        name = self.name("c")
        self.values[name] = self.constants[name] = np.array(value, dtype)
        return name

    def weights(self, *shape: int, scale: float = 0.5, dtype: type = np.float32) -> str:
        """A constant of random floats without special values."""
        return self.constant(self.random.standard_normal(shape) * scale, dtype)

    def ints(self, *values: int) -> str:
        """A constant of rank 1, int64."""
        return self.constant(np.array(values, np.int64))

    def input(self, dtype: type, shape: Sequence[int], value: np.ndarray | None = None) -> str:
        """A new input of the graph."""
        name = self.name("x")
        scale = self.pick([1.0, 1.0, 1.0, 3.0, 0.1, 20.0])
        given = self.array(dtype, shape, scale) if value is None else value
        self.values[name] = self.inputs[name] = np.asarray(given)
        self.pool.append(name)
        return name

    def operand(
        self,
        dtype: type | Sequence[type] = np.float32,
        rank: int | tuple[int, int] = (0, 5),
        where: Where = lambda _: True,
    ) -> str:
        """A tensor of this type and rank for which ``where`` holds, or a new input."""
        types = tuple(dtype) if isinstance(dtype, list | tuple) else (dtype,)
        low, high = rank if isinstance(rank, tuple) else (rank, rank)
        fitting = [
            name
            for name in self.pool
            if (v := self.values[name]).dtype in types and low <= v.ndim <= high and where(v)
        ]
        if fitting and not self.chance(0.1):
            recent = fitting[-2:] if self.chance(0.65) else fitting
            return self.pick(recent)
        for _ in range(20):
            shape = self.shape(self.integer(max(low, min(1, high)), max(low, min(high, 4))))
            # float32 three times in four, if it is one of the types
            chosen = np.float32 if np.float32 in types and self.chance(0.75) else self.pick(types)
            if where(np.ones(shape, chosen)):
                return self.input(chosen, shape)
        raise Skip

    def like(self, name: str, dtype: type | None = None) -> str:
        """A second operand that broadcasts with the first: a tensor, an input or a constant."""
        first = self.values[name]
        dtype = dtype or first.dtype
        fitting = [
            other
            for other in self.pool
            if self.values[other].dtype == dtype and _broadcasts(self.values[other], first)
        ]
        if fitting and self.chance(0.4):
            return self.pick(fitting)
        shape = [n if self.chance(0.7) else 1 for n in first.shape][
            self.integer(0, first.ndim) if self.chance(0.4) else 0 :
        ]
        if self.chance(0.5):
            return self.input(dtype, shape)
        value = self.array(dtype, shape)
        return self.constant(value)

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: int = 1,
        domain: str = "",
        keep: bool = True,
        reads: Sequence[str] = (),
        **attributes: object,
    ) -> list[str]:
        """Add a node. Its outputs join the pool if ``keep`` is set.

        ``reads`` are tensors that only the node's branches use.

        Raises
        ------
        Skip
            If ONNX Runtime refuses the node, or its outputs are too large.
        """
        names = [f"{self.prefix}t{len(self.values) + k}" for k in range(outputs)]
        node = helper.make_node(operator, inputs, names, domain=domain, **attributes)
        self._add([node], names, reads)
        if keep:
            self.pool += names
        return names

    @contextmanager
    def together(self) -> Iterator[Callable[..., str]]:
        """Several nodes of which only the last gives a tensor.

        Yields a function that adds a node and names its output.

        Raises
        ------
        Skip
            As :meth:`node` does, at the end.
        """
        nodes: list[onnx.NodeProto] = []

        def add(operator: str, inputs: Sequence[str], **attributes: object) -> str:
            name = f"{self.prefix}s{len(self.values)}_{len(nodes)}"
            nodes.append(helper.make_node(operator, inputs, [name], **attributes))
            return name

        yield add
        self._add(nodes, list(nodes[-1].output))
        self.pool += nodes[-1].output

    def _add(
        self, nodes: list[onnx.NodeProto], outputs: list[str], reads: Sequence[str] = ()
    ) -> None:
        made = {name for node in nodes for name in node.output}
        read = dict.fromkeys([*(i for node in nodes for i in node.input), *reads])
        given = [i for i in read if i and i not in made]
        fed = {i: self.values[i] for i in given if i not in self.constants}
        graph = helper.make_graph(
            nodes,
            "nodes",
            [value_info(i, v) for i, v in fed.items()],
            [onnx.ValueInfoProto(name=n) for n in outputs],
            [numpy_helper.from_array(v, i) for i, v in self.constants.items() if i in read],
        )
        try:
            results = session(as_model(graph, self.opset)).run(None, fed)
        except Exception as error:
            raise Skip(str(error)[:200]) from None
        if not all(isinstance(r, np.ndarray) and r.size <= MAX_ELEMENTS for r in results):
            raise Skip("too much, or no tensor")
        self.nodes += nodes
        self.values |= dict(zip(outputs, results, strict=True))

    def one(self, operator: str, *inputs: str, **options: object) -> str:
        """The only output of a new node."""
        return self.node(operator, inputs, **options)[0]


def as_model(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    """A model that may also use operators of Microsoft's domain."""
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _broadcasts(a: np.ndarray, b: np.ndarray) -> bool:
    try:
        return np.prod(np.broadcast_shapes(a.shape, b.shape)) <= MAX_ELEMENTS
    except ValueError:
        return False
