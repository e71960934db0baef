"""softmax, log_softmax, logsumexp and the norms as :mod:`quake_tvm.rows` writes them.

Their loops are vectors and their rows are on all cores already, alike for every target, because no
schedule can overlap the last chunk of a row with the one before. There is nothing left to choose.
"""

import tvm
from tvm import s_tir

from quake_tvm.generation import tir

from . import analysis
from .choice import Decide

WRITTEN_OUT = (
    "quake_softmax",
    "quake_log_softmax",
    "quake_logsumexp",
    "quake_layer_norm",
    "quake_rms_norm",
)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Take a function that is one of the operators over rows."""
    return analysis.start(function) if analysis.written_out(function, *WRITTEN_OUT) else None
