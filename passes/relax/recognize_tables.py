"""Chains of element-wise operators between two tensors of integers become tables.

:mod:`passes.recognize_tables` finds the chains.
"""

import tvm
from tvm import relax

from quake_tvm.lut.integers import approximate
from quake_tvm.tvm_version import Pass

from ..graph import Site
from ..recognize_tables import Kinds, find
from . import byte_table, piecewise_table
from .byte_table import look_up
from .graph import dtype, rewrite
from .piecewise_table import piecewise

_KINDS = Kinds("dequantize", "quantize", "astype", "nn.leakyrelu")


@tvm.transform.module_pass(opt_level=0, name="RecognizeTables")
class RecognizeTables(Pass):
    """Replace every chain between two tensors of bytes by one table of 256 entries.

    Each operator of the chain has one tensor, several that are functions of the same bytes, or
    constants of equal elements besides.

    Parameters
    ----------
    entries : int, optional
        Chains that have steps of real numbers become piecewise-linear tables of at most so many
        entries. Their inputs and outputs may also have 16 bits.
    """

    def __init__(self, entries: int | None = None) -> None:
        self.entries = entries

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. The longest chains are taken."""
        approximated = self.entries is not None
        return rewrite(mod, lambda graph: find(graph, _KINDS, approximated), self._make)

    def _make(self, site: Site) -> relax.Call:
        (x,), outputs = site.args, site.attributes["table"]
        if self.entries is None or not site.attributes["real"]:
            return look_up(x, outputs, site.source)
        return piecewise(x, approximate(outputs, dtype(x), self.entries), self.entries, site.source)


def replace_chains(mod: tvm.IRModule, entries: int | None) -> tvm.IRModule:
    """The module with PrimFuncs of tables instead of the chains of :class:`RecognizeTables`."""
    return lower_tables(RecognizeTables(entries)(mod))


def lower_tables(mod: tvm.IRModule) -> tvm.IRModule:
    """The module with PrimFuncs instead of the operators of tables."""
    return piecewise_table.lower(byte_table.lower(mod))
