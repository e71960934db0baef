"""The features of a tensor and where they lie in it.

Along some axes of a tensor lie its features, for example heads and the parts of a head. Along the
others, for example batch and position, lie rows. Moving axes changes only where the features lie.
Knows no operator of Relax.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from .bounded import Bounded
from .typical import Typical

Shape = Sequence[int | Hashable]


@dataclass(frozen=True)
class Placed:
    """What is known of a tensor.

    Attributes
    ----------
    index : np.ndarray
        int, of the tensor's rank: which feature is at a place. It has the extent 1 along rows.
    bounded : Bounded or None
        What is proven.
    typical : Typical or None
        What is typical.
    """

    index: np.ndarray
    bounded: Bounded | None
    typical: Typical | None

    @classmethod
    def last(cls, rank: int, n: int, bounded: Bounded | None, typical: Typical | None) -> "Placed":
        """A tensor whose n features lie along its last axis."""
        return cls(np.arange(n).reshape([1] * (rank - 1) + [n]), bounded, typical)

    def each(self, change: Callable[[Any], Any]) -> "Placed":
        """Something done to both."""
        known = (None if k is None else change(k) for k in (self.bounded, self.typical))
        return Placed(self.index, *known)

    def both(self, other: "Placed", combine: Callable[[Any, Any], Any]) -> "Placed":
        """Something done with what is known of two tensors of the same places."""
        pairs = (self.bounded, other.bounded), (self.typical, other.typical)
        known = (None if None in pair else combine(*pair) for pair in pairs)
        return Placed(self.index, *known)

    def settled(self) -> "Placed":
        """The same with the features numbered by their place."""
        places = self.index.ravel()
        numbered = np.arange(self.index.size).reshape(self.index.shape)
        return replace(self._at(places), index=numbered)

    def spread(self, shape: tuple[int, ...]) -> "Placed":
        """The same with features also along axes of rows, so that the index has this shape.

        Rows may differ: each reads a u of its own.
        """
        if self.index.shape == shape:
            return self.settled()
        wide = replace(self, index=np.broadcast_to(self.index, shape)).settled()
        added = [n if n != old else 1 for n, old in zip(shape, self.index.shape, strict=True)]
        groups = np.broadcast_to(np.arange(prod(added)).reshape(added), shape).ravel()
        return wide.each(lambda known: known.independent(groups))

    def _at(self, places: np.ndarray) -> "Placed":
        return self.each(lambda known: known.taken(places))

    def along_last(self, change: Callable[[Any], Any]) -> "Placed":
        """Something done to the features along the last axis, those of other places as rows."""
        rows = self.index.reshape(-1, self.index.shape[-1])
        parts = [self._at(row).each(change) for row in rows]
        joined = reduce(lambda a, b: a.both(b, lambda x, y: x.joined(y)), parts)
        known = joined.bounded or joined.typical
        n = 0 if known is None else len(known)
        return Placed.last(self.index.ndim, n, joined.bounded, joined.typical)

    def mixed(self) -> "Placed":
        """Convex mixtures of the rows along the last axis but one, others for each place before."""
        here = self.settled()
        heads = np.arange(prod(self.index.shape[:-2])).repeat(self.index.shape[-1])
        return here.each(lambda known: known.independent(heads))

    def reshaped(self, old: Shape, new: Shape) -> "Placed | None":
        """A reshape between two shapes of the tensor; None if it mixes rows of unknown number."""
        within, shape = list(self.index.shape), list[int]()
        for before, after in _groups(list(old), list(new)):
            if prod(within[a] for a in before) == 1:
                shape += [1] * len(after)
                continue
            all_of = [*(old[a] for a in before), *(new[a] for a in after)]
            extents = [n for n in all_of if isinstance(n, int)]
            if len(extents) < len(all_of):
                return None
            for axis, n in zip(before, extents, strict=False):
                within[axis] = n
            shape += extents[len(before) :]
        wide = self if tuple(within) == self.index.shape else self.spread(tuple(within))
        return replace(wide, index=wide.index.reshape(shape))


def _groups(old: list[Any], new: list[Any]) -> list[tuple[list[int], list[int]]]:
    """The axes of both shapes in groups of as many elements, from the left and from the right."""
    left = _matched(old, new)
    used = sum(len(a) for a, _ in left), sum(len(b) for _, b in left)
    rest = old[used[0] :], new[used[1] :]
    right = _matched(rest[0][::-1], rest[1][::-1])
    ends = len(old) - sum(len(a) for a, _ in right), len(new) - sum(len(b) for _, b in right)
    middle = list(range(used[0], ends[0])), list(range(used[1], ends[1]))
    mirrored = [
        ([len(old) - 1 - n for n in a][::-1], [len(new) - 1 - n for n in b][::-1])
        for a, b in right[::-1]
    ]
    return [*left, *([middle] if any(middle) else []), *mirrored]


def _matched(old: list[Any], new: list[Any]) -> list[tuple[list[int], list[int]]]:
    """Groups from the left, as far as their numbers of elements are known to be equal."""
    groups: list[tuple[list[int], list[int]]] = []
    a = b = 0
    while a < len(old) and b < len(new):
        first, last = (a, b), (a + 1, b + 1)
        while old[first[0] : last[0]] != new[first[1] : last[1]]:
            parts = old[first[0] : last[0]], new[first[1] : last[1]]
            if not all(isinstance(n, int) for part in parts for n in part):
                return groups
            sizes = prod(parts[0]), prod(parts[1])
            if sizes[0] == sizes[1]:
                break
            last = (last[0] + (sizes[0] < sizes[1]), last[1] + (sizes[0] > sizes[1]))
            if last[0] > len(old) or last[1] > len(new):
                return groups
        groups.append((list(range(first[0], last[0])), list(range(first[1], last[1]))))
        a, b = last
    return groups
