"""An extent as people read it. Knows no operator."""

from typing import Any

from ..tvm_version import tir

# TVM's printer renames variables that are called as its prefixes, by default T, R, I and cls.
_TIR = "quake_tir"
_PREFIXES = {
    "extra_config": {"tirx.prefix": _TIR, "relax.prefix": "quake_relax"},
    "ir_prefix": "quake_ir",
    "module_alias": "quake_module",
}


def extent_size(extent: Any) -> int | str:
    """An extent of Relax as a number, or as text: a name, or an expression of names."""
    if isinstance(extent, int | tir.IntImm):
        return int(extent)
    text = extent.script(int_dtype=str(extent.ty.dtype), **_PREFIXES)
    return str(text).replace(f"{_TIR}.", "")  # names have no dots
