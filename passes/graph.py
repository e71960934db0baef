"""A function as a graph: what computes a value, who uses it, which constants have equal elements.

The recognisers use only a :class:`Graph` and :class:`Site` objects. They know neither Relax nor
Relay. :mod:`relax.graph` and :mod:`relay.graph` read a function into a graph and insert the
operator calls. Knows no operator and no pattern.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# An expression of the module's dialect. The graph's keys are expressions that name a value.
Expr = Any
Shape = tuple[int | Hashable, ...]


@dataclass(frozen=True)
class Site:
    """A place where an operator of the registry is computed.

    Attributes
    ----------
    var : Expr
        The graph's key of the operator's result.
    operator : str
        The operator's name in the registry.
    args : tuple of Expr
        The operator's tensor inputs.
    attributes : dict
        The operator's parameters, ``axis``, ``scale`` and so on.
    source : str
        The operators that the site was recognised from, for the report.
    region : frozenset of Expr
        All keys that the operator replaces, ``var`` included.
    """

    var: Expr
    operator: str
    args: tuple[Expr, ...]
    source: str
    region: frozenset[Expr]
    attributes: dict[str, Any] = field(default_factory=dict)


class Graph(ABC):
    """Definitions and uses within one function, branches included.

    Attributes
    ----------
    values : dict
        Maps each key to the expression that it is bound to. Definitions come before uses.
    users : dict
        Maps each expression to the keys whose computation uses it. None stands for the function's
        result.
    """

    def __init__(self) -> None:
        self.values: dict[Expr, Expr] = {}
        self.users: dict[Expr, list[Expr | None]] = {}
        self._args: dict[Expr, tuple[Expr, ...]] = {}

    def args(self, key: Expr) -> tuple[Expr, ...]:
        """The operands of the call that a key is bound to.

        Cached, since TVM creates new objects each time.
        """
        if key not in self._args:
            self._args[key] = tuple(self.values[key].args)
        return self._args[key]

    @abstractmethod
    def limits(self, call: Expr) -> tuple[float, float] | None:
        """The lower and the upper limit of a call of clip, None if they are not constants."""

    @abstractmethod
    def kind(self, expr: Expr) -> str:
        """The operator's name without prefix (``exp``, ``nn.softmax``), else the empty string."""

    @abstractmethod
    def shape(self, expr: Expr) -> Shape | None:
        """The extents of a tensor: integers or hashable symbolic extents. None if unknown."""

    @abstractmethod
    def dtype(self, expr: Expr) -> str:
        """The dtype of a tensor."""

    @abstractmethod
    def constant(self, expr: Expr) -> np.ndarray | None:
        """The value of a constant, None for other expressions."""

    def value(self, expr: Expr) -> Expr:
        """What a key is bound to, after following variables that rename others.

        Else ``expr`` itself.
        """
        while expr in self.values and self.values[expr] is not expr:
            expr = self.values[expr]
        return expr

    def same_shape(self, a: Expr, b: Expr) -> bool:
        """Whether both are tensors of the same known shape."""
        return self.shape(a) is not None and self.shape(a) == self.shape(b)

    def only_used_by(self, var: Expr, region: set[Expr]) -> bool:
        """Whether every use of ``var`` lies in ``region``."""
        return all(user in region for user in self.users.get(var, []) if user is not var)

    def owned(self, root: Expr, region: frozenset[Expr]) -> set[Expr]:
        """``root`` and those keys of ``region`` whose results only ``root`` depends on."""
        owned = {root}
        while new := {v for v in region - owned if self.only_used_by(v, owned)}:
            owned |= new
        return owned

    def scalar(self, expr: Expr) -> float | None:
        """The value of a constant whose elements are all equal, else None."""
        data = self.constant(self.value(expr))
        if data is None or data.size == 0 or data.dtype.kind not in "fiu":
            return None
        return float(data.flat[0]) if np.all(data == data.flat[0]) else None

    def replacements(
        self, sites: Iterable[Site], make: Callable[[Site], Any | None]
    ) -> tuple[dict[Expr, Any], set[Expr]]:
        """The calls that replace sites, by key, and the keys that are dead after the replacement.

        A site for which ``make`` gives None stays unchanged.
        """
        calls: dict[Expr, Any] = {}
        region: set[Expr] = set()
        for site in sites:
            call = make(site)
            if call is not None:
                calls[site.var] = call
                region |= site.region - {site.var}
        return calls, self._dead(region, calls)

    def _dead(self, region: set[Expr], calls: Mapping[Expr, Any]) -> set[Expr]:
        """The keys of ``region`` that nothing uses once ``calls`` replace their keys."""
        needed = {arg for call in calls.values() for arg in call.args if arg in self.values}
        dead: set[Expr] = set()
        while True:
            found = {
                var
                for var in region - dead - needed - calls.keys()
                if all(user in dead or user in calls for user in self.users.get(var, []))
            }
            if not found:
                return dead
            dead |= found
