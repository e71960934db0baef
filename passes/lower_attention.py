"""``quake.attention`` to its kernel, which carries the softmax as a site for the report."""

import json

import tvm
from tvm import relax

from quake_tvm.written_out import WrittenOut

from .fuse_attention import ATTENTION
from .legalize import UNFUSABLE, legalize
from .lower_tir import SITES, mark
from .relax_ops import attributes_of


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    attributes = attributes_of(call)
    scale = float(attributes["scale"])
    site = mark("softmax", attributes) | {"scale": scale}
    kernel = WrittenOut(
        "attention",
        {
            "axes": [int(n) for n in attributes["axes"]],
            "tiles": [int(n) for n in attributes["tiles"]],
            "method": str(attributes["method"]),
            "ieee": bool(attributes["ieee"]),
            "scale": scale,
        },
    )
    return builder.call_te(
        kernel,
        *call.args,
        primfunc_name_hint="quake_attention",
        primfunc_attrs={SITES: json.dumps([site]), **UNFUSABLE, **kernel.attributes},
    )


def lower(mod: tvm.IRModule) -> tvm.IRModule:
    """Legalize attentions, nothing else."""
    return legalize(mod, {ATTENTION: _legalize})
