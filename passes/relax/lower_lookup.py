"""Lower ``quake.lookup_ffn`` to its kernel, with a rung for the exponentials of its scores.

They are one site for the report, of the operator exp.
"""

import json

import tvm
from tvm import relax

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.lookup_operator import LOOKUP
from quake_tvm.options import Options

from ..lower_tir import SITES
from ..site_attrs import SiteAttrs
from .call_written_out import call_written_out
from .graph import extents_text
from .legalize import Legalize, legalize


def rule(options: Options) -> dict[str, Legalize]:
    """The legalization of the operator."""

    def run(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        shape = extents_text(list(call.args[0].ty.shape))
        method = options.choose("exp", shape=shape, site=0).method
        made = {"bits": int(call.attrs["bits"]), "method": method, "ieee": options.ieee}
        sites = []
        if method is not None:
            sites.append(SiteAttrs(method, options.ieee, "lookup_ffn", shape).mark("exp"))
        kernel = KernelSpec("lookup_ffn", made)
        marks = {SITES: json.dumps(sites)}
        return call_written_out(builder, "quake_lookup_ffn", kernel, call.args, call.ty, marks)

    return {LOOKUP: run}


def lower(mod: tvm.IRModule, options: Options) -> tvm.IRModule:
    """Legalize look-ups. Nothing else is changed."""
    return legalize(mod, rule(options))
