"""What a rule asks of a walk, and what a rule is."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from tvm import relax

from ..passes.relax.graph import Graph
from .placed import Placed


class Known(Protocol):
    """What is known of a function's values."""

    graph: Graph

    def placed(self, expr: relax.Expr) -> Placed | None:
        """The features of a tensor; None if nothing is known."""

    def constant(self, expr: relax.Expr) -> np.ndarray | None:
        """A finite constant in float64, None for other expressions."""

    def mixes(self, expr: relax.Expr) -> bool:
        """Whether rows are weights of a mean: not negative, with the sum 1."""


# Takes a call, and returns None for what it does not know.
Rule = Callable[[Known, relax.Call], Placed | None]
