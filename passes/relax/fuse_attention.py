"""Fuse softmax between two matrix products into one operator, ``quake.attention``.

Transposes in front of and behind the products, and scalar factors of q and k, become part of the
operator: the kernel reads and writes the tensors in their own layout. Keys and values whose heads
are repeated for groups of queries are read as they are before the repeat. A causal mask becomes the
positions of the rows. The products have four dimensions, or three, of which the first is all heads.
Depth and width must be known and fill a vector, all other extents may be symbolic. Nothing else may
use the scores.
"""

from collections.abc import Callable
from dataclasses import replace

import tvm
import tvm_ffi
from tvm import relax

from quake_tvm.kernels.attention_products import Operand, operands
from quake_tvm.kernels.register_tile import SQUARE, Tile
from quake_tvm.tvm_version import Pass, make_attrs, register_op

from ..fold_affine import in_range
from ..graph import Site
from .attention_views import View
from .causal_masks import CausalMask, causal_mask
from .graph import Graph, functions, known_shape, op_name, rewrite
from .ops import attributes_of, operator_of

ATTENTION = "quake.attention"
# Maps (rows, keys, features) to the tiles of the two products, None if none fits. Rows and keys are
# None if only the run knows them.
Tiles = Callable[[int | None, int | None, int], tuple[Tile, Tile] | None]


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    q, v = call.args[0].ty, call.args[2].ty
    of_q, _of_k, of_v, of_out = operands_of(call)
    batch, heads, length, _depth = of_q.sizes(q.shape)
    return relax.TensorType(of_out.at(batch, heads, length, of_v.sizes(v.shape)[3]), q.dtype)


if ATTENTION not in tvm.ir.Op.list_op_names():
    register_op(ATTENTION, "softmax(scale * q k^T + mask) v")
    tvm.ir.register_op_attr(ATTENTION, "FInferType", _infer_type)
    tvm.ir.register_op_attr(ATTENTION, "FPurity", True)


def operands_of(call: relax.Call) -> tuple[Operand, ...]:
    """The layouts of q, k, v and the output in a call of ``quake.attention``."""
    return operands([int(n) for n in call.attrs["axes"]])


def _fit(*exprs: relax.Expr) -> bool:
    """Whether all are float32 tensors of rank three or all of rank four, with known extents.

    Symbolic extents are known.
    """
    if not all(known_shape(e) and str(e.ty.dtype) == "float32" for e in exprs):
        return False
    return {e.ty.ndim for e in exprs} in ({3}, {4})


def _site(graph: Graph, var: relax.Var, tiles: Tiles) -> Site | None:
    product = graph.value(var)
    weights, v = product.args
    softmax = graph.value(weights)
    if operator_of(softmax) != "softmax" or not isinstance(weights, relax.Var):
        return None
    scores, *mask = softmax.args
    first = graph.value(scores)
    if op_name(first) != "relax.matmul" or not _fit(*first.args, v, weights, var):
        return None
    if not (graph.only_used_by(weights, {var}) and graph.only_used_by(scores, {weights})):
        return None
    options = attributes_of(softmax)
    q, k, v = (View.of(e).before(graph) for e in (*first.args, v))
    k = replace(k, axes=tuple(k.axes[n] for n in (0, 1, 3, 2)))
    # Vectors run along the features of k and v.
    if options.axis != var.ty.ndim - 1 or v.factor != 1.0 or k.axes[3] != 3 or v.axes[3] != 3:
        return None
    scale = options.numbers.get("scale", 1.0) * q.factor * k.factor
    if scale <= 0 or not in_range(scale):
        return None
    (*of_q, length, depth), (*of_k, keys, of_keys), (*of_v, values, width) = (
        view.sizes for view in (q, k, v)
    )
    if not of_q == of_k == of_v or depth != of_keys or keys != values:
        return None
    if q.group != 1 or k.group != v.group:
        return None
    if not (isinstance(depth, int) and isinstance(width, int)) or depth < SQUARE:
        return None
    if 0 in (*of_q, length, keys):
        return None
    known = [n if isinstance(n, int) else None for n in (length, keys)]
    chosen = tiles(known[0], known[1], width)
    if chosen is None:
        return None
    out = View.of(var).behind(graph)
    axes = [axis for view in (q, k, v, out) for axis in view.axes]
    numbers = [n for t in chosen for n in (t.rows, t.vectors, t.lanes)]
    causal = causal_mask(graph, mask[0]) if mask else None
    if causal is not None and _covers(causal, q, k):
        mask = [causal.tensor()]
    else:
        causal = None
    region = frozenset(e for e in (var, weights, scores, out.tensor) if isinstance(e, relax.Var))
    softmax_attrs = replace(options, axis=None, numbers={**options.numbers, "scale": scale})
    attributes = {
        **softmax_attrs.to_attrs(),
        "axes": axes,
        "tiles": numbers,
        "causal": int(causal is not None),
    }
    args = (*(view.in_four() for view in (q, k, v)), *mask)
    return Site(out.tensor, "attention", args, options.source, region, attributes)


def _covers(causal: CausalMask, q: View, k: View) -> bool:
    """Whether a mask has all rows and keys, and none of its axes is broadcast to them."""
    pairs = (causal.rows, q.shape[q.axes[2]]), (causal.keys, k.shape[k.axes[2]])
    return all(tvm_ffi.structural_equal(*pair) for pair in pairs)


@tvm.transform.module_pass(opt_level=0, name="FuseAttention")
class FuseAttention(Pass):
    """Fuse every such pair of products around a lowered softmax.

    Parameters
    ----------
    tiles : callable
        Takes the numbers of rows, keys and features of v, and returns the register tiles of the two
        products, or None.
    """

    def __init__(self, tiles: Tiles) -> None:
        self.tiles = tiles

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Fuse the attentions. Nothing else is changed."""

        def find(graph: Graph) -> list[Site]:
            products = [v for v, e in graph.values.items() if op_name(e) == "relax.matmul"]
            sites = (_site(graph, var, self.tiles) for var in products)
            return [site for site in sites if site is not None]

        def make(site: Site) -> relax.Call:
            attributes = make_attrs(**site.attributes)
            call = relax.Call(tvm.ir.Op.get(ATTENTION), list(site.args), attributes)
            return call if site.var.ty.ndim == 4 else relax.op.reshape(call, site.var.ty.shape)

        mod = rewrite(mod, find, make)
        mod = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
        for name, function in list(functions(mod)):  # transposes that were fused are unused now
            mod.update_func(name, relax.analysis.remove_all_unused(function))
        return mod
