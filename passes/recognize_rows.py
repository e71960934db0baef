"""Find softmax, log_softmax and logsumexp, as TVM's operators or composed of simpler ones.

The composed forms are exp(t)/sum(exp(t)), its logarithm, t - log(sum(exp(t))) and log(sum(exp(t)))
+ m. Here t may be x - max(x), and then x is the input. softmax may be followed by a choice of 0 for
rows of -inf. A scale and a mask in front of softmax are left to :mod:`fold_affine`.
"""

import math

from .graph import Expr, Graph, Shape, Site


def _args(graph: Graph, expr: Expr, name: str) -> list[Expr] | None:
    """The arguments if ``expr`` is bound to a call of this operator, else None."""
    call = graph.value(expr)
    return list(call.args) if graph.kind(call) == name else None


_SPREADING = {"broadcast_to", "reshape", "expand_dims", "squeeze"}


def _reduced(graph: Graph, expr: Expr, name: str) -> tuple[Expr, int, bool, set[Expr]] | None:
    """(input, axis, keepdims, variables) of a reduction over one axis.

    Exporters may write keepdims as a reshape or broadcast after the reduction. These are skipped.
    """
    call, seen = graph.value(expr), [expr]
    while graph.kind(call) in _SPREADING:
        seen.append(call.args[0])
        call = graph.value(call.args[0])
    if graph.kind(call) != name or (shape := graph.shape(call.args[0])) is None:
        return None
    x, axes, rank = call.args[0], call.attrs.axis, len(shape)
    axes = list(range(rank)) if axes is None else [int(a) % rank for a in axes]
    if getattr(call.attrs, "exclude", False):  # Relay's: all axes but these
        axes = [k for k in range(rank) if k not in axes]
    if len(axes) != 1:
        return None
    keepdims = bool(call.attrs.keepdims)
    if len(seen) > 1:
        if not _keeps_dims([graph.shape(e) for e in seen], shape, axes[0]):
            return None
        keepdims = True
    return x, axes[0], keepdims, set(seen)


def _keeps_dims(steps: list[Shape | None], x: Shape, axis: int) -> bool:
    """Whether the steps after a reduction keep one value for each row of x.

    ``steps`` are shapes, last first. The first full-rank step has extent 1 along ``axis``; later
    ones may broadcast it.
    """
    full = [step for step in steps if step is not None and len(step) == len(x)]
    if not full or steps[0] is not full[0]:
        return False
    for step in full:
        for k, (a, b) in enumerate(zip(step, x, strict=True)):
            if not (a == b or (k == axis and a == 1)):
                return False
    return full[-1][axis] == 1


class _Finder:
    def __init__(self, graph: Graph, root: Expr) -> None:
        self.graph, self.root = graph, root
        self.region: set[Expr] = {root}

    def see(self, *exprs: Expr) -> None:
        self.region |= {e for e in exprs if e in self.graph.values}

    def sum_of_exp(self, expr: Expr) -> tuple[Expr, Expr, int, bool] | None:
        """(variable of exp, t, axis, keepdims) if ``expr`` is sum(exp(t))."""
        total = _reduced(self.graph, expr, "sum")
        if total is None:
            return None
        e, axis, keepdims, seen = total
        t = _args(self.graph, e, "exp")
        if t is None:
            return None
        self.see(*seen, e)
        return e, t[0], axis, keepdims

    def unshifted(self, t: Expr, axis: int) -> tuple[Expr, Expr | None]:
        """(x, max) if t is x - max(x) along the axis, else (t, None)."""
        parts = _args(self.graph, t, "subtract")
        if parts:
            top = _reduced(self.graph, parts[1], "max")
            if top and top[0] == parts[0] and top[1] == axis and top[2]:
                self.see(t, *top[3])
                return parts[0], parts[1]
        return t, None

    def site(self, operator: str, x: Expr, **attributes: object) -> Site:
        inside = [v for v in self.graph.values if v in self.region and v != x]
        names = [self.graph.kind(self.graph.value(v)) for v in inside]
        return Site(self.root, operator, (x,), "+".join(names), frozenset(inside), dict(attributes))

    def softmax(self) -> Site | None:
        parts = _args(self.graph, self.root, "divide")
        total = self.sum_of_exp(parts[1]) if parts else None
        if parts is None or total is None or total[0] != parts[0] or not total[3]:
            return None
        _, t, axis, _ = total
        return self.site("softmax", self.unshifted(t, axis)[0], axis=axis)

    def safe_softmax(self) -> Site | None:
        """0 where the maximum is -inf, else softmax."""
        chosen = _args(self.graph, self.root, "where")
        if chosen is None or self.graph.scalar(chosen[1]) != 0.0:
            return None
        compared = _args(self.graph, chosen[0], "equal")
        top = _reduced(self.graph, compared[0], "max") if compared else None
        inner = _Finder(self.graph, chosen[2]) if chosen[2] in self.graph.values else None
        found = inner and (inner.operator() or inner.softmax())
        if not top or not found or found.operator != "softmax":
            return None
        x, axis = found.args[0], found.attributes["axis"]
        lowest = self.graph.scalar(compared[1]) if compared else None
        if lowest != -math.inf or top[0] != x or top[1] != axis or not top[2]:
            return None
        self.see(chosen[0], *top[3], *found.region)
        return self.site("softmax", x, axis=axis, empty=0.0)

    def log_softmax(self) -> Site | None:
        return self.log_of_softmax() or self.logits_less_logsumexp()

    def log_of_softmax(self) -> Site | None:
        parts = _args(self.graph, self.root, "log")
        inner = _Finder(self.graph, parts[0]) if parts and parts[0] in self.graph.values else None
        found = inner and (inner.operator() or inner.softmax())
        if not found or found.operator != "softmax":
            return None
        self.see(*found.region)
        return self.site("log_softmax", found.args[0], axis=found.attributes["axis"])

    def logits_less_logsumexp(self) -> Site | None:
        parts = _args(self.graph, self.root, "subtract")
        total = _args(self.graph, parts[1], "log") if parts else None
        found = self.sum_of_exp(total[0]) if total else None
        if parts is None or found is None or found[1] != parts[0] or not found[3]:
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
        if self.unshifted(t, axis)[1] is not None:  # part of a log_softmax
            return None
        return self.site("logsumexp", t, axis=axis, keepdims=keepdims)

    def operator(self) -> Site | None:
        """The site if the root is TVM's own operator."""
        call = self.graph.values[self.root]
        for name in ("softmax", "log_softmax"):
            if self.graph.kind(call) != f"nn.{name}":
                continue
            shape = self.graph.shape(call.args[0])
            if shape is not None:
                axis = int(call.attrs.axis) % max(len(shape), 1)
                return self.site(name, call.args[0], axis=axis)
        return None


def find(graph: Graph) -> list[Site]:
    """Every operator over rows in the function, in reverse order."""
    sites: list[Site] = []
    taken: set[Expr] = set()
    for root in reversed(list(graph.values)):
        if root in taken or graph.shape(root) is None:
            continue
        for form in ("operator", "safe_softmax", "softmax", "log_softmax", "logsumexp"):
            site = getattr(_Finder(graph, root), form)()
            if site is not None:
                sites.append(site)
                taken |= graph.owned(root, site.region)
                break
    return sites
