"""Lower ``quake.attention`` to its kernel, which carries the softmax as a site for the report."""

import json

import tvm
from tvm import relax

from quake_tvm.kernels.kernel_spec import KernelSpec

from ..lower_tir import SITES
from ..site_attrs import SiteAttrs
from .call_written_out import call_written_out
from .fuse_attention import ATTENTION
from .legalize import legalize


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    given = {str(name): call.attrs[name] for name in list(call.attrs.keys())}
    axes, tiles = ([int(n) for n in given.pop(name)] for name in ("axes", "tiles"))
    softmax = SiteAttrs.from_attrs(given)
    site = {**softmax.mark("softmax"), **softmax.numbers}
    options = {"method": softmax.method, "ieee": softmax.ieee, **softmax.numbers}
    kernel = KernelSpec("attention", {"axes": axes, "tiles": tiles, **options})
    return call_written_out(
        builder, "quake_attention", kernel, call.args, call.ty, {SITES: json.dumps([site])}
    )


def lower(mod: tvm.IRModule) -> tvm.IRModule:
    """Legalize attentions. Nothing else is changed."""
    return legalize(mod, {ATTENTION: _legalize})
