"""``quake.attention`` to its kernel, which carries the softmax as a site for the report."""

import json
from functools import partial

import tvm
from tvm import relax

from quake_tvm.attention import attention

from .fuse_attention import ATTENTION, operands_of, tiles_of
from .legalize import UNFUSABLE, legalize
from .lower_tir import SITES, mark
from .relax_ops import attributes_of


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    attributes = attributes_of(call)
    method, ieee = str(attributes["method"]), bool(attributes["ieee"])
    scale = float(attributes["scale"])
    site = mark("softmax", attributes) | {"scale": scale}
    function = partial(
        attention,
        operands=operands_of(call),
        tiles=tiles_of(call),
        method=method,
        ieee=ieee,
        scale=scale,
    )
    return builder.call_te(
        function,
        *call.args,
        primfunc_name_hint="quake_attention",
        primfunc_attrs={SITES: json.dumps([site]), **UNFUSABLE},
    )


def lower(mod: tvm.IRModule) -> tvm.IRModule:
    """Legalize attentions, nothing else."""
    return legalize(mod, {ATTENTION: _legalize})
