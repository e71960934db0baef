"""Attention as :mod:`quake_tvm.attention` writes it, its heads on all cores already."""

import tvm
from tvm import s_tir

from quake_tvm.generation import tir
from quake_tvm.register_tile import Tile

from . import analysis
from .choice import Decide
from .choices import choices


def tiles(
    length: int, keys: int, features: int, target: tvm.target.Target
) -> tuple[Tile, Tile] | None:
    """Register tiles of the two products: the same rows, and columns that fit keys and features."""
    lanes, shapes = analysis.lanes(target), choices(target).tiles
    first = next((v for v in shapes if v * lanes <= keys and shapes[v] <= length), None)
    if first is None:
        return None
    height = shapes[first]
    fitting = [v for v in shapes if shapes[v] >= height and v * lanes <= features]
    if not fitting:
        return None
    second = min(fitting, key=lambda v: (-(-features // (v * lanes)) * v, -v))
    return Tile(height, first, lanes), Tile(height, second, lanes)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Take a function that is one attention."""
    return analysis.start(function) if analysis.written_out(function, "quake_attention") else None
