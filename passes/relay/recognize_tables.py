"""Chains of element-wise operators between two tensors of integers become tables.

:mod:`passes.recognize_tables` finds the chains, also after TVM has spelled out ``qnn.quantize`` and
``qnn.dequantize``.
"""

import numpy as np
import tvm
from tvm import relay

from quake_tvm.lut.integers import approximate

from ..graph import Site
from ..recognize_tables import Kinds, find
from .graph import dtype, rewrite
from .table_ops import look_up, piecewise


def _away_from_zero(x: np.ndarray) -> np.ndarray:
    """How Relay's TVM rounds halves."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


_KINDS = Kinds("qnn.dequantize", "qnn.quantize", "cast", "nn.leaky_relu", _away_from_zero)


def replace_chains(mod: tvm.IRModule, entries: int | None) -> tvm.IRModule:
    """The module with tables instead of chains.

    Parameters
    ----------
    mod : IRModule
    entries : int or None
        Tables of real functions are piecewise linear, with at most so many entries; None: all
        tables have 256 entries.
    """

    def make(site: Site) -> relay.Call:
        (x,), outputs = site.args, site.attributes["table"]
        if entries is None or not site.attributes["real"]:
            return look_up(x, outputs, site.source)
        return piecewise(x, approximate(outputs, dtype(x), entries), entries, site.source)

    return rewrite(mod, lambda graph: find(graph, _KINDS, entries is not None), make)
