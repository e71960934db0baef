"""TVM's FoldConstant, with each function compiled once.

TVM compiles a function anew for every call that it folds, which takes longer than all the rest of
a small model. Importers write such calls for each operator: a clip of ONNX comes with four. While
the pass runs, TVM's build hands out what it has built of the same function before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tvm
from tvm import relax
from tvm_ffi import StructuralKey

from quake_tvm.tvm_version import Pass

_BUILD = "tirx.build"
_compile = tvm.get_global_func(_BUILD)

# What was built; None while nothing is folded.
_built: dict[StructuralKey, tvm.runtime.Module] | None = None


def _build(mod: Any, *options: Any) -> tvm.runtime.Module:
    """TVM's build, or what it gave for the same function."""
    if _built is None:
        return _compile(mod, *options)
    key = StructuralKey(mod)
    if key not in _built:
        _built[key] = _compile(mod, *options)
    return _built[key]


tvm.register_global_func(_BUILD, _build, override=True)


@contextmanager
def _remembering() -> Iterator[None]:
    global _built
    _built = {}
    try:
        yield
    finally:
        _built = None


@tvm.transform.module_pass(opt_level=0, name="FoldConstants")
class FoldConstants(Pass):
    """Fold what is computed from constants only."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """TVM's pass."""
        with _remembering():
            return relax.transform.FoldConstant()(mod)
