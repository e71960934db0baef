"""The rules' default parameters by kind of CPU. The tables are in ``x86.py`` and ``arm.py``."""

from dataclasses import dataclass
from functools import lru_cache

import tvm

from quake_tvm.machines.targets import lanes
from quake_tvm.support.toolchain import triple

from . import arm, x86


@dataclass(frozen=True)
class Choices:
    """The default parameters for one kind of CPU.

    Attributes
    ----------
    tiles : dict
        Register tiles of a matrix product. A tile's width in vectors of columns maps to its height
        in rows, best tile first.
    several : tuple of int
        Vectors that an element-wise kernel computes in one iteration, best first.
    clamps_pass_nan : bool
        The CPU has a maximum instruction that yields NaN if either operand is NaN.
    saturating_conversion : bool
        The CPU converts vectors of floats to unsigned integers and saturates negative values to
        zero.
    """

    tiles: dict[int, int]
    several: tuple[int, ...]
    clamps_pass_nan: bool = False
    saturating_conversion: bool = False

    @property
    def registers(self) -> int:
        """The number of vector registers. The largest tile takes three quarters of them."""
        return max(vectors * rows for vectors, rows in self.tiles.items()) * 4 // 3


@lru_cache(maxsize=64)
def choices(target: tvm.target.Target) -> Choices:
    """The default parameters for a target."""
    kind = triple(target).architecture
    if kind == "aarch64":
        in_order = str(target.attrs.get("mcpu", "")) in arm.IN_ORDER
        tiles = arm.TILES_IN_ORDER if in_order else arm.TILES
        several = arm.SEVERAL_IN_ORDER if in_order else arm.SEVERAL
        return Choices(tiles, several, clamps_pass_nan=True, saturating_conversion=True)
    if kind == "arm":
        return Choices(arm.TILES_32_BIT, arm.SEVERAL_32_BIT, clamps_pass_nan=True)
    # Every other architecture uses x86's tables for its vector width.
    return Choices(x86.TILES[lanes(target)], x86.SEVERAL)
