"""Fuse softmax between two matrix products into one operator, ``quake.attention``.

Transposes in front of and behind the products, and scalar factors of q and k, become part of the
operator: the kernel reads and writes the tensors in their own layout. Depth and width must be known
and fill a vector, all other extents may be symbolic. Nothing else may use the scores.
"""

from collections.abc import Callable
from dataclasses import replace

import tvm
from tvm import relax

from quake_tvm.kernels.attention_products import Operand, operands
from quake_tvm.kernels.register_tile import SQUARE, Tile
from quake_tvm.tvm_version import Pass, make_attrs, register_op

from ..fold_affine import in_range
from ..graph import Site
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


def _peeled(graph: Graph, expr: relax.Expr) -> tuple[relax.Expr, list[int], float]:
    """(tensor, axes, factor): ``expr`` is factor * tensor, its axis k the tensor's ``axes[k]``."""
    axes, factor = [0, 1, 2, 3], 1.0
    while True:
        call = graph.value(expr)
        name = op_name(call)
        if name == "relax.permute_dims" and call.attrs.axes is not None:
            order = [int(a) % 4 for a in call.attrs.axes]
            axes = [order[a] for a in axes]
            expr = call.args[0]
        elif name in ("relax.multiply", "relax.divide"):
            scalar = graph.scalar(call.args[1])
            if call.args[0].ty.ndim != 4 or scalar is None or not in_range(scalar):
                return expr, axes, factor
            factor = factor * scalar if name == "relax.multiply" else factor / scalar
            expr = call.args[0]
        else:
            return expr, axes, factor


def _four_axes(*exprs: relax.Expr) -> bool:
    """Whether all are float32 tensors of rank four with known extents, symbolic ones included."""
    return all(known_shape(e) and e.ty.ndim == 4 and str(e.ty.dtype) == "float32" for e in exprs)


def _only_user(graph: Graph, var: relax.Var) -> relax.Var | None:
    users = graph.users.get(var, [])
    return users[0] if len(users) == 1 else None


def _site(graph: Graph, var: relax.Var, tiles: Tiles) -> Site | None:
    product = graph.value(var)
    weights, v = product.args
    softmax = graph.value(weights)
    if operator_of(softmax) != "softmax" or not isinstance(weights, relax.Var):
        return None
    scores, *mask = softmax.args
    first = graph.value(scores)
    if op_name(first) != "relax.matmul" or not _four_axes(*first.args, v, weights, var):
        return None
    if not (graph.only_used_by(weights, {var}) and graph.only_used_by(scores, {weights})):
        return None
    options = attributes_of(softmax)
    (q, q_axes, by_q), (k, k_axes, by_k) = (_peeled(graph, e) for e in first.args)
    v, v_axes, by_v = _peeled(graph, v)
    k_axes = [k_axes[n] for n in (0, 1, 3, 2)]
    # Vectors run along the features of k and v.
    if options.axis != 3 or by_v != 1.0 or k_axes[3] != 3 or v_axes[3] != 3:
        return None
    scale = options.numbers.get("scale", 1.0) * by_q * by_k
    result, out_axes = var, [0, 1, 2, 3]
    user = _only_user(graph, var)
    order = graph.value(user) if user is not None else None
    if (
        order is not None
        and op_name(order) == "relax.permute_dims"
        and order.attrs.axes is not None
    ):
        inverse = [[int(a) % 4 for a in order.attrs.axes].index(n) for n in range(4)]
        if inverse[3] == 3:
            result, out_axes = user, inverse
    shapes = [(axes, graph.shape(t)) for axes, t in ((q_axes, q), (k_axes, k), (v_axes, v))]
    sizes = [[shape[axis] for axis in axes] for axes, shape in shapes if shape is not None]
    (*of_q, length, depth), (*of_k, keys, of_keys), (*of_v, values, width) = sizes
    if not of_q == of_k == of_v or depth != of_keys or keys != values:
        return None
    if not (isinstance(depth, int) and isinstance(width, int)) or depth < SQUARE:
        return None
    if 0 in (*of_q, length, keys):
        return None
    if scale <= 0 or not in_range(scale):
        return None
    known = [n if isinstance(n, int) else None for n in (length, keys)]
    chosen = tiles(known[0], known[1], width)
    if chosen is None:
        return None
    axes = [*q_axes, *k_axes, *v_axes, *out_axes]
    numbers = [n for t in chosen for n in (t.rows, t.vectors, t.lanes)]
    region = frozenset(e for e in (var, weights, scores, result) if isinstance(e, relax.Var))
    softmax_attrs = replace(options, axis=None, numbers={"scale": scale}).to_attrs()
    attributes = {**softmax_attrs, "axes": axes, "tiles": numbers}
    return Site(result, "attention", (q, k, v, *mask), options.source, region, attributes)


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
            return relax.Call(tvm.ir.Op.get(ATTENTION), list(site.args), attributes)

        mod = rewrite(mod, find, make)
        mod = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
        for name, function in list(functions(mod)):  # transposes that were fused are unused now
            mod.update_func(name, relax.analysis.remove_all_unused(function))
        return mod
