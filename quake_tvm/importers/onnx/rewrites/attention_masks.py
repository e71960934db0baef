"""The terms that masks add to the scores in ONNX Runtime's attentions."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from ....errors import QuakeError
from .graph import Graph

# What ONNX Runtime adds to masked scores, unless the node says otherwise.
LEFT_OUT = -10000.0
# What ONNX Runtime adds to the scores of later positions.
LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class Keys:
    """The keys of an attention.

    Attributes
    ----------
    graph : Graph
    operator : str
        For errors.
    x : str
        A tensor that has one row for each key along ``axis``.
    axis : int
    batch : int or None
        The number of sequences; None if it is not known.
    """

    graph: Graph
    operator: str
    x: str
    axis: int
    batch: int | None

    def mask(self, mask: str, left_out: float) -> str:
        """The term of a mask, which has lengths, starts and lengths, or mask values.

        Raises
        ------
        QuakeError
            For a mask of an unsupported shape.
        """
        graph, shape = self.graph, self.graph.shape(mask)
        rank = None if shape is None else len(shape)
        if rank not in (1, 2, 3):
            raise QuakeError(
                f"com.microsoft.{self.operator}: the mask {mask!r} of rank "
                f"{'?' if rank is None else rank} must be (batch,), (batch, keys) or (batch, "
                "queries, keys)"
            )
        if rank == 1:
            terms = self._by_length(mask, left_out)
            return graph.emit("Unsqueeze", [terms, self._axes(1, 2)])
        zero = graph.constant(0, graph.dtype(mask), "zero")
        terms = self._terms(graph.emit("Greater", [mask, zero]), left_out)
        return graph.emit("Unsqueeze", [terms, self._axes(*((1, 2) if rank == 2 else (1,)))])

    def after(self, queries: str = "") -> str:
        """The term that masks the keys after the query.

        Parameters
        ----------
        queries : str, optional
            A tensor with one row for each query along dimension 1. The queries are the last
            positions of the keys. By default there are as many as keys.
        """
        graph, keys = self.graph, self.graph.count_up(self.x, self.axis)
        rows = keys
        if queries:
            before = graph.emit("Sub", [graph.extent(self.x, self.axis), graph.extent(queries, 1)])
            rows = graph.emit("Add", [graph.count_up(queries, 1), before])
        rows = graph.emit("Unsqueeze", [rows, self._axes(1)])
        return self._terms(graph.emit("LessOrEqual", [keys, rows]), LOWEST)

    def _by_length(self, mask: str, left_out: float) -> str:
        """The term of a mask of lengths: keys before the length, from the start on if given."""
        graph, batch = self.graph, self.batch
        (count,) = graph.shape(mask) or [None]
        starts = count is not None and batch is not None and count == 2 * batch and batch > 0
        if not starts and None not in (count, batch) and count != batch:
            raise QuakeError(
                f"com.microsoft.{self.operator}: the mask {mask!r} has {count} numbers for a batch "
                f"of {batch}: give {batch} lengths, or {batch} ends and {batch} starts, or a mask "
                f"of the shape ({batch}, keys)"
            )
        places = graph.count_up(self.x, self.axis)
        places = graph.emit("Cast", [places], to=graph.dtype(mask))
        last = graph.emit("Unsqueeze", [mask, self._axes(1)])
        if not starts:
            return self._terms(graph.emit("Less", [places, last]), left_out)
        parts = [graph.fresh(name) for name in ("ends", "starts")]
        sizes = graph.constant([batch, batch], TensorProto.INT64, "sizes")
        graph.keep(helper.make_node("Split", [last, sizes], parts, axis=0))
        before_end = graph.emit("Less", [places, parts[0]])
        from_start = graph.emit("GreaterOrEqual", [places, parts[1]])
        return self._terms(graph.emit("And", [before_end, from_start]), left_out)

    def _terms(self, seen: str, left_out: float) -> str:
        dtype = self.graph.dtype(self.x)
        zero, low = (self.graph.constant(n, dtype, "term") for n in (0.0, left_out))
        return self.graph.emit("Where", [seen, zero, low])

    def _axes(self, *axes: int) -> str:
        return self.graph.constant(list(axes), TensorProto.INT64, "axes")
