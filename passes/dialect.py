"""The modules that implement the graph for the installed TVM: those of Relax or those of Relay.

Code that works on both dialects imports these names from here. :mod:`quake_tvm.tvm_version` tells
which TVM is installed.
"""

from typing import TYPE_CHECKING

from quake_tvm.tvm_version import RELAY

if TYPE_CHECKING or not RELAY:  # type checkers see Relax's names
    from .relax.graph import astype, dtype, functions, rewrite, shape_text
    from .relax.lower import lower
    from .relax.ops import attributes_of, call, operator_of
    from .relax.recognize_tables import replace_chains
else:
    from .relay.graph import astype, dtype, functions, rewrite, shape_text
    from .relay.lower import lower
    from .relay.ops import attributes_of, call, operator_of
    from .relay.recognize_tables import replace_chains

__all__ = [
    "astype",
    "attributes_of",
    "call",
    "dtype",
    "functions",
    "lower",
    "operator_of",
    "replace_chains",
    "rewrite",
    "shape_text",
]
