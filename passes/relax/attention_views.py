"""A tensor that stands behind transposes, reshapes and scalar factors, seen in four dimensions.

Attention's operands are (batch, head, position, feature). Models keep them as (batch, position,
head, feature), or with batch and head as one axis. Knows no operator but those that move elements
or scale all of them.
"""

from dataclasses import dataclass, replace
from typing import Any

from tvm import relax

from ..fold_affine import in_range
from .graph import Extent, Graph, op_name

_RESHAPES = {"relax.reshape", "relax.expand_dims", "relax.squeeze"}


@dataclass(frozen=True)
class View:
    """factor * tensor, seen in four dimensions.

    Attributes
    ----------
    tensor : Expr
        Of rank four, or of rank three.
    shape : tuple of extents
        The four extents in the tensor's order.
    axes : tuple of int
        Axis k of the operand is the axis ``axes[k]`` of this shape.
    pair : int or None
        The tensor's axis that is two of the four, if the tensor has rank three.
    factor : float
    """

    tensor: relax.Expr
    shape: tuple[Any, ...]
    axes: tuple[int, ...] = (0, 1, 2, 3)
    pair: int | None = None
    factor: float = 1.0

    @classmethod
    def of(cls, expr: relax.Expr) -> "View":
        """A tensor as it is. Before the first of three axes stands one of extent 1."""
        shape = tuple(expr.ty.shape)
        return cls(expr, shape) if len(shape) == 4 else cls(expr, (1, *shape), pair=0)

    @property
    def sizes(self) -> list[Any]:
        """The operand's extents, which compare by structure."""
        extents = (getattr(n, "value", n) for n in (self.shape[a] for a in self.axes))
        return [n if isinstance(n, int) else Extent(n) for n in extents]

    def in_four(self) -> relax.Expr:
        """The tensor with four dimensions."""
        if self.pair is None:
            return self.tensor
        return relax.op.reshape(self.tensor, relax.ShapeExpr(list(self.shape)))

    def _behind(self, order: list[int], pair: int | None) -> tuple[int, ...]:
        """The order in which a transpose of a tensor with this pair puts the four axes."""
        if pair is None:
            return tuple(order)
        four = [[a, a + 1] if a == pair else [a + (a > pair)] for a in order]
        return tuple(a for axes in four for a in axes)

    def before(self, graph: Graph) -> "View":
        """The view of the tensor that this one is made of, as far back as it can be followed."""
        view, call = self, graph.value(self.tensor)
        name = op_name(call)
        if name == "relax.permute_dims":
            order = _order(call)
            pair = None if self.pair is None else order[self.pair]
            four = self._behind(order, pair)
            shape = tuple(self.shape[four.index(n)] for n in range(4))
            axes = tuple(four[a] for a in self.axes)
            view = replace(self, tensor=call.args[0], shape=shape, axes=axes, pair=pair)
        elif name in ("relax.multiply", "relax.divide"):
            scalar = graph.scalar(call.args[1])
            if scalar is not None and in_range(scalar) and _rank(call.args[0]) == _rank(call):
                factor = self.factor * scalar if "multiply" in name else self.factor / scalar
                view = replace(self, tensor=call.args[0], factor=factor)
        elif name in _RESHAPES and self.pair is None and _rank(call.args[0]) == 3:
            pair = _split(graph, call.args[0], self.tensor)
            if pair is not None:
                split = replace(self, tensor=call.args[0], pair=pair)
                found = split.before(graph)
                return self if found is split else found
        return self if view is self else view.before(graph)

    def behind(self, graph: Graph) -> "View":
        """The view of the tensor that is made of this one, which nothing else uses.

        Followed through transposes that leave the features last, and through reshapes before them.
        """
        users = graph.users.get(self.tensor, [])
        user = users[0] if len(users) == 1 else None
        call = graph.value(user) if user is not None else None
        name = op_name(call)
        if name == "relax.permute_dims":
            order = _order(call)
            four = self._behind(order, self.pair)
            axes = tuple(four.index(a) for a in self.axes)
            if axes[3] == 3:
                pair = None if self.pair is None else order.index(self.pair)
                shape = tuple(self.shape[a] for a in four)
                return View(user, shape, axes, pair)
        elif name in _RESHAPES and self.pair is None and _rank(user) == 3:
            pair = _split(graph, user, self.tensor)
            if pair is not None:
                merged = replace(self, tensor=user, pair=pair)
                found = merged.behind(graph)
                return self if found is merged else found
        return self


def _rank(expr: relax.Expr) -> int | None:
    return expr.ty.ndim if isinstance(expr.ty, relax.TensorType) else None


def _order(call: relax.Call) -> list[int]:
    rank = call.args[0].ty.ndim
    axes = call.attrs.axes
    return list(range(rank))[::-1] if axes is None else [int(a) % rank for a in axes]


def _split(graph: Graph, three: relax.Expr, four: relax.Expr) -> int | None:
    """The axis of a tensor of rank three that is two axes of its reshape of rank four."""
    whole, parts = graph.shape(three), graph.shape(four)
    if whole is None or parts is None:
        return None
    fits = (a for a in range(3) if whole[:a] == parts[:a] and whole[a + 1 :] == parts[a + 2 :])
    return next(fits, None)
