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
    group : int
        How often each of the tensor's heads is repeated before the next one.
    """

    tensor: relax.Expr
    shape: tuple[Any, ...]
    axes: tuple[int, ...] = (0, 1, 2, 3)
    pair: int | None = None
    factor: float = 1.0
    group: int = 1

    @classmethod
    def of(cls, expr: relax.Expr) -> "View":
        """A tensor as it is. Before the first of three axes stands one of extent 1."""
        shape = tuple(expr.ty.shape)
        return cls(expr, shape) if len(shape) == 4 else cls(expr, (1, *shape), pair=0)

    @property
    def sizes(self) -> list[Any]:
        """The operand's extents, which compare by structure. Repeated heads count."""
        sizes: list[Any]
        extents = (getattr(n, "value", n) for n in (self.shape[a] for a in self.axes))
        sizes = [n if isinstance(n, int) else Extent(n) for n in extents]
        if self.group != 1:
            sizes[1] *= self.group  # their number is known
        return sizes

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
            scalar, alike = graph.scalar(call.args[1]), graph.same_shape(call.args[0], self.tensor)
            if scalar is not None and in_range(scalar) and alike:
                factor = self.factor * scalar if "multiply" in name else self.factor / scalar
                view = replace(self, tensor=call.args[0], factor=factor)
        elif name in _RESHAPES and graph.shape(call.args[0]) == graph.shape(self.tensor):
            view = replace(self, tensor=call.args[0])
        elif name in _RESHAPES and self.pair is None and _rank(call.args[0]) == 5:
            return self._before_repeat(graph)
        elif name in _RESHAPES and self.pair is None and _rank(call.args[0]) == 3:
            pair = _split(graph, call.args[0], self.tensor)
            if pair is not None:
                split = replace(self, tensor=call.args[0], pair=pair)
                found = split.before(graph)
                return self if found is split else found
        return self if view is self else view.before(graph)

    def _before_repeat(self, graph: Graph) -> "View":
        """The view of the tensor whose heads this one repeats; this one if it is no such repeat.

        (.., heads, ..) gets an axis of 1 behind the heads, which is broadcast and merged with them.
        """
        axis = self.axes[1]
        spread = graph.value(self.tensor).args[0]
        call = graph.value(spread)
        if op_name(call) != "relax.broadcast_to" or self.group != 1:
            return self
        inserted = call.args[0]
        before = graph.value(inserted)
        if op_name(before) not in _RESHAPES or _rank(before.args[0]) != 4:
            return self
        own = graph.shape(before.args[0])
        parts, whole = graph.shape(spread), graph.shape(self.tensor)
        if own is None or parts is None or whole is None:
            return self
        heads, group = own[axis], parts[axis + 1]
        if not (isinstance(heads, int) and isinstance(group, int)):
            return self
        fits = (
            graph.shape(inserted) == (*own[: axis + 1], 1, *own[axis + 1 :])
            and parts == (*own[: axis + 1], group, *own[axis + 1 :])
            and whole == (*own[:axis], heads * group, *own[axis + 1 :])
        )
        if not fits:
            return self
        tensor = before.args[0]
        return replace(self, tensor=tensor, shape=tuple(tensor.ty.shape), group=group).before(graph)

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
