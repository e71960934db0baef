"""com.microsoft.GroupQueryAttention as products, masks and a softmax.

Keys and values have fewer heads than the queries. The queries that share a head of keys become the
rows of one product, so that no key is repeated.
"""

import math

import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .attention_masks import LOWEST
from .graph import Graph, attributes
from .rotary_embedding import turn

_OPERATOR = "com.microsoft.GroupQueryAttention"


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard.

    Raises
    ------
    QuakeError
        For widths that are unknown or do not fit the heads, and if the length of the cache that
        the node returns is an input.
    """
    _Attention(node, graph).emit()


class _Attention:
    def __init__(self, node: onnx.NodeProto, graph: Graph) -> None:
        self.graph, self.given = graph, attributes(node)
        inputs = [*node.input, *[""] * 12][:12]
        self.tokens, self.lengths, self.total = inputs[:3], *inputs[5:7]
        self.past, self.tables, self.positions = inputs[3:5], inputs[7:9], inputs[9]
        self.bias, self.sinks = inputs[10:]
        self.output, *self.present = [*node.output, "", ""][:3]
        self.heads, self.groups = self.given["num_heads"], self.given["kv_num_heads"]

    def emit(self) -> None:
        graph, groups, each = self.graph, self.groups, self.heads // self.groups
        parts, width = self._parts()
        self.dtype = graph.dtype(parts[0])
        start = self._start(parts[0])
        places = graph.count_up(parts[0], 1)
        places = graph.emit("Add", [start, places]) if start else self._unsqueezed(places, 0)
        q, k, v = (self._reshaped(x, [0, 0, -1, width]) for x in parts)
        if self.given.get("do_rotary"):
            turned = self._turned(places)
            half = self._width(self.tables[0], 2)
            interleaved = bool(self.given.get("rotary_interleaved"))
            q, k = (turn(graph, x, tuple(self.tables), turned, half, interleaved) for x in (q, k))
        q = self._reshaped(q, [0, 0, groups, each, width])
        q = graph.emit("Transpose", [q], perm=[0, 2, 3, 1, 4])
        q = self._reshaped(q, [0, groups, -1, width])
        k, v = (
            self._cache(graph.emit("Transpose", [x], perm=[0, 2, 1, 3]), past, name, places, start)
            for x, past, name in zip((k, v), self.past, self.present, strict=True)
        )
        scores = graph.emit("MatMul", [q, graph.emit("Transpose", [k], perm=[0, 1, 3, 2])])
        scale = self.given.get("scale") or 1 / math.sqrt(width)
        scores = graph.emit("Mul", [scores, self._number(scale)])
        if cap := self.given.get("softcap"):
            tanh = graph.emit("Tanh", [graph.emit("Div", [scores, self._number(cap)])])
            scores = graph.emit("Mul", [tanh, self._number(cap)])
        if self.bias:
            scores = graph.emit("Add", [scores, self._added(k, each)])
        scores = graph.emit("Add", [scores, self._mask(k, places, each)])
        weights = self._with_sinks(scores, q) if self.sinks else self._softmax(scores)
        y = graph.emit("MatMul", [weights, v])
        y = self._reshaped(y, [0, groups, each, -1, width])
        y = graph.emit("Transpose", [y], perm=[0, 3, 1, 2, 4])
        self._reshaped(y, [0, 0, self.heads * width], self.output)

    def _parts(self) -> tuple[list[str], int]:
        """Queries, keys and values, which one tensor may hold, and the width of a head."""
        query, key, value = self.tokens
        sizes = [self.heads, *([] if key else [self.groups, self.groups])]
        width, left = divmod(self._width(query, 3), sum(sizes))
        if left:
            raise QuakeError(f"{_OPERATOR}: the width of {query!r} does not fit its heads")
        if key:
            return [query, key, value], width
        parts = [self.graph.fresh(name) for name in ("queries", "keys", "values")]
        split = self.graph.constant([n * width for n in sizes], TensorProto.INT64, "sizes")
        self.graph.keep(helper.make_node("Split", [query, split], parts, axis=-1))
        return parts, width

    def _start(self, query: str) -> str:
        """(batch, 1): the number of tokens in the past; nothing without a past.

        The lengths count all tokens but one. A prompt that is shorter than the batch's longest
        has a smaller number than there are new tokens, and no past.
        """
        if not self.past[0]:
            return ""
        graph = self.graph
        lengths = graph.emit("Cast", [self.lengths], to=TensorProto.INT64)
        one, none = (graph.constant(n, TensorProto.INT64, "number") for n in (1, 0))
        new = graph.emit("Sub", [graph.extent(query, 1), one])
        start = graph.emit("Max", [graph.emit("Sub", [lengths, new]), none])
        return self._unsqueezed(start, 1)

    def _turned(self, places: str) -> str:
        """The positions by which tokens are turned: (batch, length)."""
        if not self.positions:
            return places
        graph = self.graph
        first = self.positions
        for _ in range(2):
            first = graph.emit("Gather", [first, self._whole(0)])
        prompt = graph.emit("Add", [first, graph.count_up(self.positions, 1)])
        prompt = self._unsqueezed(prompt, 0)
        if not self.past[0]:
            return prompt
        new = graph.extent(self.tokens[0], 1)
        is_prompt = graph.emit("Equal", [self._total(), new])
        return graph.emit("Where", [is_prompt, prompt, self.positions])

    def _cache(self, x: str, past: str, present: str, places: str, start: str) -> str:
        """Past and new keys or values; rows after the new ones are 0."""
        graph = self.graph
        if not past:
            return graph.emit("Identity", [x], present) if present in graph.used else x
        zero = self._number(0)
        held = self._lengthened(past, x, present)
        exists = graph.emit("Less", [graph.count_up(held, 2), start])
        held = graph.emit("Where", [self._unsqueezed(exists, 1, 3), held, zero])
        rows = graph.emit("Expand", [self._unsqueezed(places, 1, 3), graph.emit("Shape", [x])])
        name = present if present in graph.used else ""
        return graph.emit("ScatterElements", [held, rows, x], name, axis=2)

    def _lengthened(self, past: str, x: str, present: str) -> str:
        """The past with room for the new tokens."""
        graph, length = self.graph, self.graph.extent(past, 2)
        if self.total not in graph.inputs:
            wanted = self._total()
        elif present not in graph.used:
            wanted = graph.emit("Add", [length, graph.extent(x, 2)])  # always enough
        else:
            raise QuakeError(
                f"{_OPERATOR}: the input {self.total!r} would set the length of {present!r} at run "
                "time: make it a constant, or compute it from a shape"
            )
        more = graph.emit("Max", [graph.emit("Sub", [wanted, length]), self._whole(0)])
        more = self._unsqueezed(graph.emit("Reshape", [more, self._shape([])]), 0)
        before = graph.constant([0] * 6, TensorProto.INT64, "pads")
        after = graph.constant([0], TensorProto.INT64, "pads")
        pads = graph.emit("Concat", [before, more, after], axis=0)
        return graph.emit("Pad", [past, pads, self._number(0)])

    def _mask(self, keys: str, places: str, each: int) -> str:
        """(batch, 1, queries, keys): 0 for the keys up to the query's position, within the window.

        The rows of a head are the queries of ``each`` heads.
        """
        graph, columns = self.graph, self.graph.count_up(keys, 2)
        if each > 1:
            repeats = graph.constant([1, each], TensorProto.INT64, "repeats")
            places = graph.emit("Tile", [places, repeats])
        rows = self._unsqueezed(places, 2)
        seen = graph.emit("LessOrEqual", [columns, rows])
        window = self.given.get("local_window_size", -1)
        if window >= 0:
            first = graph.emit("Sub", [rows, self._whole(window)])
            seen = graph.emit("And", [seen, graph.emit("Greater", [columns, first])])
        terms = graph.emit("Where", [seen, self._number(0), self._number(LOWEST)])
        return self._unsqueezed(terms, 1)

    def _added(self, keys: str, each: int) -> str:
        """(batch, groups or 1, rows, keys): the bias, with 0 for rows of keys that are not used."""
        graph, shape = self.graph, self.graph.shape(self.bias)
        heads = None if shape is None or len(shape) != 4 else shape[1]
        if heads not in (1, self.heads):
            raise QuakeError(
                f"{_OPERATOR}: the bias {self.bias!r} must be (batch, heads, queries, keys), with "
                f"1 or {self.heads} heads"
            )
        more = graph.emit("Sub", [graph.extent(keys, 2), graph.extent(self.bias, 3)])
        before = graph.constant([0] * 7, TensorProto.INT64, "pads")
        pads = graph.emit("Concat", [before, self._unsqueezed(more, 0)], axis=0)
        bias = graph.emit("Pad", [self.bias, pads, self._number(0)])
        if heads == 1:
            repeats = graph.constant([1, 1, each, 1], TensorProto.INT64, "repeats")
            return graph.emit("Tile", [bias, repeats])
        parts = [graph.emit("Shape", [bias], start=k, end=k + 1) for k in (0, 3)]
        middle = graph.constant([self.groups, -1], TensorProto.INT64, "shape")
        joined = graph.emit("Concat", [parts[0], middle, parts[1]], axis=0)
        return graph.emit("Reshape", [bias, joined])

    def _with_sinks(self, scores: str, queries: str) -> str:
        """A softmax over the scores and one more number, which each head has."""
        graph = self.graph
        sinks = self._reshaped(self.sinks, [1, self.groups, self.heads // self.groups, 1])
        new = self._unsqueezed(graph.extent(self.tokens[0], 1), 0)
        ones = graph.constant([1] * 3, TensorProto.INT64, "repeats")
        sinks = graph.emit("Tile", [sinks, graph.emit("Concat", [ones, new], axis=0)])
        sinks = self._reshaped(sinks, [1, self.groups, -1, 1])
        batch = graph.emit("Shape", [queries], start=0, end=1)
        shape = graph.emit("Concat", [batch, ones], axis=0)
        joined = graph.emit("Concat", [scores, graph.emit("Expand", [sinks, shape])], axis=-1)
        ends = [graph.constant([n], TensorProto.INT64, "end") for n in (0, -1, -1)]
        return graph.emit("Slice", [self._softmax(joined), *ends])

    def _softmax(self, scores: str) -> str:
        return self.graph.emit("Softmax", [scores], axis=-1)

    def _total(self) -> str:
        return self.graph.emit("Cast", [self.total], to=TensorProto.INT64)

    def _width(self, x: str, rank: int) -> int:
        shape = self.graph.shape(x)
        if shape is None or len(shape) != rank or shape[-1] is None:
            raise QuakeError(f"{_OPERATOR}: the width of {x!r} must be known")
        return shape[-1]

    def _reshaped(self, x: str, shape: list[int], output: str = "") -> str:
        return self.graph.emit("Reshape", [x, self._shape(shape)], output)

    def _shape(self, shape: list[int]) -> str:
        return self.graph.constant(shape, TensorProto.INT64, "shape")

    def _unsqueezed(self, x: str, *axes: int) -> str:
        named = self.graph.constant(list(axes), TensorProto.INT64, "axes")
        return self.graph.emit("Unsqueeze", [x, named])

    def _number(self, value: float) -> str:
        return self.graph.constant(value, self.dtype, "number")

    def _whole(self, value: int) -> str:
        return self.graph.constant(value, TensorProto.INT64, "number")
