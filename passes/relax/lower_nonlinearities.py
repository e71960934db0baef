"""The phase ``lower`` of the pipeline as one pass: what happens between recognition and lowering.

The order matters. Earlier, a step would change what is recognised and numbered. Later, the kernels
would prevent it. Knows no other phase.
"""

from functools import partial
from typing import Any

import tvm

from quake_tvm.kernels.recurrent_tile import RecurrentTile
from quake_tvm.numerics import byte_dots
from quake_tvm.numerics.number_formats import COMPUTED
from quake_tvm.options import Options
from quake_tvm.schedules import analysis, attention, recurrent
from quake_tvm.schedules.choice import Decide, rule_default
from quake_tvm.tvm_version import Pass

from .. import quake
from . import lower_attention, lower_lookup, lower_recurrent, site_numbers
from .center_logsumexp import CenterLogSumExp
from .channels_last import ChannelsLast
from .choose_look_ups import choose
from .fuse_attention import FuseAttention
from .recognize_tables import lower_tables
from .rows_in_halves import RowsInHalves
from .rows_of_bytes import RowsOfBytes
from .sink_reshapes import SinkReshapes


@tvm.transform.module_pass(opt_level=0, name="LowerNonlinearities")
class LowerNonlinearities(Pass):
    """The phase ``lower``: recognise, choose, lay out, fuse, and lower.

    Parameters
    ----------
    target : tvm.target.Target
    options : Options
        With the plan, if there is one.
    precision : str
        As for :func:`quake_tvm.compile`.
    decide : callable
        The tunable parameters of a kernel.
    """

    def __init__(
        self,
        target: tvm.target.Target,
        options: Options,
        precision: str = COMPUTED,
        decide: Decide = rule_default,
    ) -> None:
        def recurrent_tile(*extents: Any) -> RecurrentTile:
            key = recurrent.key_of(*extents)
            return recurrent.tile(key, target, decide(key))

        self.fuse_attention = FuseAttention(partial(attention.tiles, target=target))
        self.recurrent_tile = recurrent_tile
        self.options, self.precision = options, precision
        self.forms, self.lanes = byte_dots.formats_of(target), analysis.lanes(target)

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Recognise, choose look-ups, convert layouts, sink reshapes, fuse attention, lower."""
        recognized = CenterLogSumExp()(quake.recognize(mod, self.options, numbered=True))
        plan = self.options.plan
        chosen = choose(recognized, plan.looked_up if plan is not None else ())
        fused = self.fuse_attention(SinkReshapes()(ChannelsLast(self.lanes)(chosen)))
        layers = lower_recurrent.lower(
            RowsOfBytes()(RowsInHalves()(fused)),
            self.options,
            self.recurrent_tile,
            self.forms,
            self.lanes,
        )
        tables = lower_lookup.lower(layers, self.options)
        kernels = lower_attention.lower(tables, self.precision, self.forms[0].left)
        return site_numbers.write(lower_tables(quake.lower(kernels, self.options)))
