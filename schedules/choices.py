"""The rules' own choices by kind of CPU; the tables are in ``x86.py`` and ``arm.py``."""

from dataclasses import dataclass
from functools import lru_cache

import tvm

from quake_tvm.machines.targets import lanes
from quake_tvm.support.toolchain import triple

from . import arm, x86


@dataclass(frozen=True)
class Choices:
    """A CPU's row.

    Attributes
    ----------
    tiles : dict
        Register tiles of a matrix product: vectors of columns to rows, best first.
    several : tuple of int
        Vectors of an element-wise kernel side by side, best first.
    clamps_pass_nan : bool
        One instruction is a maximum that yields NaN if either operand is one.
    saturating_conversion : bool
        Vectors of floats convert to unsigned integers that stop at zero.
    """

    tiles: dict[int, int]
    several: tuple[int, ...]
    clamps_pass_nan: bool = False
    saturating_conversion: bool = False

    @property
    def registers(self) -> int:
        """Vector registers: the largest tile leaves a quarter of them to the operands."""
        return max(vectors * rows for vectors, rows in self.tiles.items()) * 4 // 3


@lru_cache(maxsize=64)
def choices(target: tvm.target.Target) -> Choices:
    """The row for a target."""
    kind = triple(target).architecture
    if kind == "aarch64":
        in_order = str(target.attrs.get("mcpu", "")) in arm.IN_ORDER
        tiles = arm.TILES_IN_ORDER if in_order else arm.TILES
        several = arm.SEVERAL_IN_ORDER if in_order else arm.SEVERAL
        return Choices(tiles, several, clamps_pass_nan=True, saturating_conversion=True)
    if kind == "arm":
        return Choices(arm.TILES_32_BIT, arm.SEVERAL_32_BIT, clamps_pass_nan=True)
    # What else there is has x86's, by the width of its vectors.
    return Choices(x86.TILES[lanes(target)], x86.SEVERAL)
