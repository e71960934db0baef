"""The rule for recurrent layers: LSTM, GRU and RNN.

:mod:`quake_tvm.kernels.recurrent` generates these kernels, since no schedule can express a loop
that carries its state. The rule leaves their loops as they are. The pass that lowers a layer asks
:func:`tile` for the kernel's numbers, because the weights are packed accordingly.

A register tile is as many rows, times as many vectors of each gate's units, as the registers hold.
With few rows it is wide, so that there are enough independent sums. All rows of a tile use a weight
that was loaded once.
"""

import math

import tvm
from tvm import s_tir

from quake_tvm.kernels.recurrent_tile import RecurrentTile
from quake_tvm.tvm_version import tir

from . import analysis
from .choice import Decide
from .choices import choices

# Possible vectors of a gate's units.
VECTORS = (1, 2, 4, 8)
# The most rows that one thread computes.
BLOCK = 16
# Independent sums that hide the latency of a multiply-add.
CHAINS = 8


def tile(gates: int, batch: int | None, hidden: int, target: tvm.target.Target) -> RecurrentTile:
    """The tile of a layer's kernel.

    Parameters
    ----------
    gates : int
        The gates whose sums are computed together.
    batch : int or None
        The rows; None if only the run knows the number.
    hidden : int
        The units of a state.
    target : tvm.target.Target
    """
    lanes = min(analysis.lanes(target), 1 << (hidden.bit_length() - 1))
    registers = choices(target).registers * 3 // 4
    block = BLOCK if batch is None else analysis.balanced(max(batch, 1), BLOCK)

    def rows(vectors: int) -> int:
        """The most rows whose sums the registers hold."""
        return max(registers // (gates * vectors), 1)

    def cost(vectors: int) -> float:
        """The estimated cost of a step: multiply-adds and loads, but at least the latency."""
        wide = gates * vectors
        if wide > registers:
            return math.inf
        high = rows(vectors) if batch is None else analysis.balanced(block, rows(vectors))
        tiles = -(-hidden // (vectors * lanes)) * (1 / high if batch is None else -(-block // high))
        return tiles * max(high * wide + (high + wide) / 4, CHAINS)

    vectors = min((n for n in VECTORS if n * lanes <= hidden), key=cost)
    return RecurrentTile(analysis.balanced(block, rows(vectors)), vectors * lanes, block)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Take a function that is one recurrent layer.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    return analysis.start(function) if analysis.written_out(function, "quake_recurrent") else None
