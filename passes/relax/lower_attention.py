"""Lower ``quake.attention`` to its kernel, which carries the softmax as a site for the report."""

import json
from functools import partial

import tvm
from tvm import relax

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.numerics.number_formats import COMPUTED

from ..lower_tir import SITES
from ..site_attrs import SiteAttrs
from .call_written_out import call_written_out
from .fuse_attention import ATTENTION, operands_of
from .legalize import legalize


def _legalize(
    builder: relax.BlockBuilder, call: relax.Call, precision: str, left: str | None
) -> relax.Expr:
    given = {str(name): call.attrs[name] for name in list(call.attrs.keys())}
    axes, tiles = ([int(n) for n in given.pop(name)] for name in ("axes", "tiles"))
    causal = bool(given.pop("causal"))
    softmax = SiteAttrs.from_attrs(given)
    site = {**softmax.mark("softmax"), **softmax.numbers}
    options = {"method": softmax.method, "ieee": softmax.ieee, **softmax.numbers}
    depth = operands_of(call)[0].sizes(call.args[0].ty.shape)[3]
    if precision == "bfloat16" and int(depth) % 2 == 0:
        options["precision"] = precision
    if causal:
        options["causal"] = True
    elif precision == "int8":  # else the scales of values would depend on those not visible
        options["left"] = left
    kernel = KernelSpec("attention", {"axes": axes, "tiles": tiles, **options})
    return call_written_out(
        builder, "quake_attention", kernel, call.args, call.ty, {SITES: json.dumps([site])}
    )


def lower(mod: tvm.IRModule, precision: str = COMPUTED, left: str | None = None) -> tvm.IRModule:
    """Legalize attentions. Nothing else is changed.

    Parameters
    ----------
    mod : IRModule
    precision : str
        ``"bfloat16"``: the products of an even number of features round their operands to it.
        ``"int8"``: both products take bytes.
    left : str, optional
        For int8, the dtype of the left elements of the target's groups of bytes.
    """
    return legalize(mod, {ATTENTION: partial(_legalize, precision=precision, left=left)})
