"""The operators of this library's own domain in ONNX files. Knows no model and no TVM.

:mod:`quake_tvm.lookup.onnx_function` writes them.
"""

from .contributed import Contributed

DOMAIN = "quake_tvm"
# A look-up that replaces a feed-forward layer: z, tables, the scales of int8 tables, bias.
LOOKUP, SCALED_LOOKUP = "LookupFFN", "ScaledLookupFFN"
# A feed-forward layer, and the look-up beside it, of which a plan takes one.
CHOICE = "LookupChoice"
OPERATORS = {
    LOOKUP: Contributed(frozenset(range(3)), attributes=frozenset({"bits"})),
    SCALED_LOOKUP: Contributed(frozenset(range(4)), attributes=frozenset({"bits"})),
    CHOICE: Contributed(frozenset(range(2)), attributes=frozenset({"number"})),
}
