"""``quake.attention`` to its kernel, which carries the softmax as a site for the report."""

import json

import tvm
from tvm import relax

from quake_tvm.kernels.kernel_spec import KernelSpec

from ..lower_tir import SITES, mark
from .call_written_out import call_written_out
from .fuse_attention import ATTENTION
from .legalize import legalize
from .ops import attributes_of


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    attributes = attributes_of(call)
    scale = float(attributes["scale"])
    site = mark("softmax", attributes) | {"scale": scale}
    kernel = KernelSpec(
        "attention",
        {
            "axes": [int(n) for n in attributes["axes"]],
            "tiles": [int(n) for n in attributes["tiles"]],
            "method": str(attributes["method"]),
            "ieee": bool(attributes["ieee"]),
            "scale": scale,
        },
    )
    return call_written_out(
        builder, "quake_attention", kernel, call.args, call.ty, {SITES: json.dumps([site])}
    )


def lower(mod: tvm.IRModule) -> tvm.IRModule:
    """Legalize attentions, nothing else."""
    return legalize(mod, {ATTENTION: _legalize})
