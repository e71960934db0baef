"""TVM's FoldConstant, but each function is compiled only once.

TVM compiles a function again for every call that it folds. This takes longer than all other passes
on a small model. Importers write such calls for each operator: a clip of ONNX comes with four.
While this pass runs, TVM's build returns the module that it has already built for an equal
function.
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

# Modules built so far, by function. None while the pass does not run.
_built: dict[StructuralKey, tvm.runtime.Module] | None = None


def _build(mod: Any, *options: Any) -> tvm.runtime.Module:
    """TVM's build, or the module that it built before for an equal function."""
    if _built is None:
        return _compile(mod, *options)
    key = StructuralKey(mod)  # type: ignore[call-arg]  # its hash is computed
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
    """Fold expressions that depend on constants only."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Run TVM's pass."""
        with _remembering():
            return relax.transform.FoldConstant()(mod)
