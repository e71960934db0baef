"""How a recurrent layer's kernel is cut: rows and units. Knows no target and no cell."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RecurrentTile:
    """The tunable numbers of the kernel. None of them changes a bit of the result.

    Attributes
    ----------
    rows : int
        Rows of a register tile.
    units : int
        Units of a panel of weights, at most those of the layer.
    block : int
        The most rows that one thread computes.
    """

    rows: int
    units: int
    block: int
