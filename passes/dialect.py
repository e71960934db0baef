"""Which modules serve the graph of the TVM at hand: those of Relax, or those of Relay.

Whoever works on either imports these names from here; :mod:`quake_tvm.generation` knows which TVM
it is.
"""

from quake_tvm.generation import RELAY

if RELAY:
    from .lower_relay import lower
    from .relay_graph import Graph, dtype, functions, rewrite, shape_text
    from .relay_ops import attributes_of, call, operator_of
else:
    from .lower_relax import lower
    from .relax_graph import Graph, dtype, functions, rewrite, shape_text
    from .relax_ops import attributes_of, call, operator_of

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
