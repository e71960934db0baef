"""Find softmax, log_softmax and logsumexp: TVM's operators, and the same written out.

Written out means exp(t)/sum(exp(t)), t - log(sum(exp(t))) and log(sum(exp(t))) + m, where t may be
x - max(x) (then x is the input) or not. Scale and mask in front of softmax are another pass's.
"""

import tvm_ffi
from tvm import relax

from .graph import Graph, Site, known_shape, op_name


def _args(graph: Graph, expr: relax.Expr, name: str) -> list[relax.Expr] | None:
    """The arguments if ``expr`` is bound to a call of ``relax.<name>``."""
    call = graph.value(expr)
    return list(call.args) if op_name(call) == f"relax.{name}" else None


_SPREADING = {"relax.broadcast_to", "relax.reshape", "relax.expand_dims", "relax.squeeze"}


def _reduced(
    graph: Graph, expr: relax.Expr, name: str
) -> tuple[relax.Expr, int, bool, set[relax.Var]] | None:
    """(input, axis, keepdims, variables) of a reduction over one axis.

    Exporters spell keepdims out as reshape and broadcast: these are looked through.
    """
    call, seen = graph.value(expr), [expr]
    while op_name(call) in _SPREADING:
        seen.append(call.args[0])
        call = graph.value(call.args[0])
    if op_name(call) != f"relax.{name}":
        return None
    x, axes, rank = call.args[0], call.attrs.axis, call.args[0].ty.ndim
    axes = list(range(rank)) if axes is None else [int(a) % rank for a in axes]
    if len(axes) != 1:
        return None
    keepdims = bool(call.attrs.keepdims)
    if len(seen) > 1:
        if not _keeps_dims(seen, x, axes[0]):
            return None
        keepdims = True
    return x, axes[0], keepdims, set(seen)


def _keeps_dims(steps: list[relax.Expr], x: relax.Expr, axis: int) -> bool:
    """Whether the steps, last first, hold one value a row of x: along ``axis`` once, then more."""
    full = [step for step in steps if _same_rank(step, x)]
    if not full or steps[0] is not full[0]:
        return False
    for step in full:
        for k, (a, b) in enumerate(zip(step.ty.shape, x.ty.shape, strict=True)):
            if not (tvm_ffi.structural_equal(a, b) or (k == axis and _is_one(a))):
                return False
    return _is_one(full[-1].ty.shape[axis])


def _is_one(extent: relax.Expr) -> bool:
    return getattr(extent, "value", None) == 1


def _same_rank(a: relax.Expr, b: relax.Expr) -> bool:
    """Whether both have known shapes of one rank."""
    return all(isinstance(e.ty.shape, relax.ShapeExpr) for e in (a, b)) and a.ty.ndim == b.ty.ndim


class _Finder:
    def __init__(self, graph: Graph, root: relax.Var) -> None:
        self.graph, self.root = graph, root
        self.region: set[relax.Var] = {root}

    def see(self, *exprs: relax.Expr) -> None:
        self.region |= {e for e in exprs if isinstance(e, relax.Var)}

    def sum_of_exp(self, expr: relax.Expr) -> tuple[relax.Expr, relax.Expr, int, bool] | None:
        """(exp's variable, t, axis, keepdims) of sum(exp(t))."""
        total = _reduced(self.graph, expr, "sum")
        if total is None:
            return None
        e, axis, keepdims, seen = total
        t = _args(self.graph, e, "exp")
        if t is None:
            return None
        self.see(*seen, e)
        return e, t[0], axis, keepdims

    def unshifted(self, t: relax.Expr, axis: int) -> tuple[relax.Expr, relax.Expr | None]:
        """(x, max) if t is x - max(x) along the axis, else (t, None)."""
        parts = _args(self.graph, t, "subtract")
        if parts:
            top = _reduced(self.graph, parts[1], "max")
            if top and top[0] == parts[0] and top[1] == axis and top[2]:
                self.see(t, *top[3])
                return parts[0], parts[1]
        return t, None

    def site(self, operator: str, x: relax.Expr, **attributes: object) -> Site:
        inside = [v for v in self.graph.values if v in self.region and v != x]
        names = [op_name(self.graph.value(v)).removeprefix("relax.") for v in inside]
        return Site(self.root, operator, (x,), "+".join(names), frozenset(inside), dict(attributes))

    def softmax(self) -> Site | None:
        parts = _args(self.graph, self.root, "divide")
        total = self.sum_of_exp(parts[1]) if parts else None
        if total is None or total[0] != parts[0] or not total[3]:
            return None
        _, t, axis, _ = total
        return self.site("softmax", self.unshifted(t, axis)[0], axis=axis)

    def log_softmax(self) -> Site | None:
        parts = _args(self.graph, self.root, "subtract")
        total = _args(self.graph, parts[1], "log") if parts else None
        found = self.sum_of_exp(total[0]) if total else None
        if found is None or found[1] != parts[0] or not found[3]:
            return None
        self.see(parts[1])
        _, t, axis, _ = found
        return self.site("log_softmax", self.unshifted(t, axis)[0], axis=axis)

    def logsumexp(self) -> Site | None:
        parts = _args(self.graph, self.root, "add") or []
        for log, top in (parts, parts[::-1]) if parts else ():
            inner = _args(self.graph, log, "log")
            found = self.sum_of_exp(inner[0]) if inner else None
            if found and found[3]:
                x, shift = self.unshifted(found[1], found[2])
                if shift is not None and shift == top:
                    self.see(log)
                    return self.site("logsumexp", x, axis=found[2], keepdims=True)
        inner = _args(self.graph, self.root, "log")
        found = self.sum_of_exp(inner[0]) if inner else None
        if found is None:
            return None
        _, t, axis, keepdims = found
        if self.unshifted(t, axis)[1] is not None:  # log_softmax's inner part
            return None
        return self.site("logsumexp", t, axis=axis, keepdims=keepdims)

    def operator(self) -> Site | None:
        """TVM's own operator."""
        call = self.graph.values[self.root]
        for name in ("softmax", "log_softmax"):
            if op_name(call) == f"relax.nn.{name}":
                rank = call.args[0].ty.ndim
                return self.site(name, call.args[0], axis=int(call.attrs.axis) % max(rank, 1))
        return None


def find(graph: Graph) -> list[Site]:
    """Every operator over rows in the function, largest first."""
    sites: list[Site] = []
    taken: set[relax.Var] = set()
    for root in reversed(list(graph.values)):
        if root in taken or not known_shape(root):
            continue
        for form in ("operator", "softmax", "log_softmax", "logsumexp"):
            site = getattr(_Finder(graph, root), form)()
            if site is not None:
                sites.append(site)
                taken |= graph.owned(root, site.region)
                break
    return sites
