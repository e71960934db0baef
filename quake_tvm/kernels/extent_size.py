"""An extent as people read it. Knows no operator."""

from typing import Any

from ..tvm_version import tir


def extent_size(extent: Any) -> int | str:
    """An extent of Relax as a number, or as text: a name, or an expression of names."""
    if isinstance(extent, int | tir.IntImm):
        return int(extent)
    # max and min without the prefix of TVM's script; names have no dots
    return str(extent.script(int_dtype=str(extent.ty.dtype))).replace("T.", "")
