"""QuAKE for Apache TVM: exponential nonlinearities as bit manipulation, with proven bounds.

The public contract is what this module exports.
"""

from .compiler import Model, compile, load
from .errors import QuakeError
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
