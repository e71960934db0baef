"""Which modules serve the graph of the TVM at hand: those of Relax, or those of Relay.

Whoever works on either imports these names from here; :mod:`quake_tvm.tvm_version` knows which TVM
it is.
"""

from quake_tvm.tvm_version import RELAY

if RELAY:
    from .relay.graph import Graph, dtype, functions, rewrite, shape_text
    from .relay.lower import lower
    from .relay.ops import attributes_of, call, operator_of
else:
    from .relax.graph import Graph, dtype, functions, rewrite, shape_text
    from .relax.lower import lower
    from .relax.ops import attributes_of, call, operator_of

__all__ = [
    "Graph",
    "attributes_of",
    "call",
    "dtype",
    "functions",
    "lower",
    "operator_of",
    "rewrite",
    "shape_text",
]
