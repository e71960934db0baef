"""QuAKE for Apache TVM: exponential nonlinearities as bit manipulation, with proven bounds.

The public contract is what ``__all__`` names. TVM is loaded when one of them is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler import compile
    from .errors import QuakeError
    from .model import Model, load
    from .operators import bound
    from .passes.pipeline import pipeline
    from .passes.quake import QuAKE
    from .targets import target, targets

__version__ = "0.1.0"
__all__ = [
    "Model",
    "QuAKE",
    "QuakeError",
    "bound",
    "compile",
    "load",
    "pipeline",
    "target",
    "targets",
]

_HOME = {
    "Model": ".model",
    "QuAKE": ".passes.quake",
    "QuakeError": ".errors",
    "bound": ".operators",
    "compile": ".compiler",
    "load": ".model",
    "pipeline": ".passes.pipeline",
    "target": ".targets",
    "targets": ".targets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module(".generation", __name__)  # refuses a missing or broken TVM in one line
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
