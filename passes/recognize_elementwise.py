"""Find element-wise nonlinearities, in whatever form an exporter has written them.

A region of element-wise operators between one tensor and one result, with no other operands than
constants of equal elements, computes a function of one variable. There is no list of patterns
(ONNX's Div-Erf-Add-Mul-Mul in its several orders, tf2onnx's, torch.export's, ELU from two relus,
...). Instead the region is *evaluated* at a few hundred points and compared with every operator of
the registry. So only the function matters, and not how the formula is written. A match is then
compared over all of float32 (:mod:`chain_proof`), so that a guard inside the region is not lost. If
there is a guard, a smaller region without it is the operator.
"""

from collections import deque
from functools import lru_cache, partial

import numpy as np

from quake_tvm.numerics import reference
from quake_tvm.numerics.operators import OPERATORS, Operator

from .chain import (
    CLIP,
    EXPONENTIAL,
    KINDS,
    Chain,
    Number,
    Step,
    clipped,
    evaluate,
    numbers,
    options_of,
)
from .chain_proof import proves
from .graph import Expr, Graph, Site

# Points near zero, in both tails and on a fine grid between. They distinguish any two operators.
# Most chains that are no operator are rejected here, within microseconds.
_POINTS = np.concatenate(
    [
        np.linspace(-12, 12, 241) + 1e-3,
        [s * v for v in (1e-3, 1e-2, 15.0, 19.9, 25.0, 40.0, 60.0, 80.0) for s in (-1, 1)],
    ]
)
# Tolerances: constants are rounded to float32, and terms such as 1 + erf to float64.
_RELATIVE, _ABSOLUTE = 4e-6, 1e-13
# Next to a zero of the formula such a constant may show: x/6 + 1/2 at -2.999. The proof decides.
_CANCELLED = 4
_MAX_NODES = 24


class _Region:
    """The element-wise operators from which ``root`` is computed, nearest first."""

    def __init__(self, graph: Graph, root: Expr) -> None:
        self.graph, self.root = graph, root
        self.nodes: dict[Expr, tuple[Expr, ...]] = {}
        queue = deque([root])
        while queue and len(self.nodes) <= _MAX_NODES:
            var = queue.popleft()
            if var in self.nodes or not self._inside(var):
                continue
            self.nodes[var] = self._operands(var)
            queue += [a for a in self.nodes[var] if a in graph.values]

    def _inside(self, var: Expr) -> bool:
        call = self.graph.values[var]
        kind = self.graph.kind(call)
        known = kind in KINDS or (kind == CLIP and self.graph.limits(call) is not None)
        return known and self.graph.same_shape(var, self.root)

    def _operands(self, var: Expr) -> tuple[Expr, ...]:
        args = self.graph.args(var)
        return args[:1] if self.graph.kind(self.graph.values[var]) == CLIP else args

    def inputs(self) -> list[Expr]:
        """Tensors that the region could be a function of, nearest first."""
        found: dict[Expr, None] = {}
        dtype = self.graph.dtype(self.root)
        for args in self.nodes.values():
            for arg in args:
                if self.graph.scalar(arg) is not None or arg in found:
                    continue
                if self.graph.same_shape(arg, self.root) and self.graph.dtype(arg) == dtype:
                    found[arg] = None
        return list(found)

    def between(self, source: Expr) -> list[Expr] | None:
        """The nodes from ``source`` to the root. None if they depend on another tensor too."""
        nodes: dict[Expr, None] = {}
        queue = deque([self.root])
        while queue:
            expr = queue.popleft()
            if expr in nodes or expr == source or self.graph.scalar(expr) is not None:
                continue
            if expr not in self.nodes:
                return None
            nodes[expr] = None
            queue += self.nodes[expr]
        kinds = {self.graph.kind(self.graph.values[v]) for v in nodes}
        candidate = kinds & EXPONENTIAL.keys() or not all(r.exponential for r in OPERATORS.values())
        return list(nodes) if candidate else None

    def chain(self, source: Expr) -> Chain:
        """The steps from ``source`` to the root."""
        place: dict[Expr, int] = {source: 0}
        steps: list[Step] = []

        def arg(expr: Expr) -> int | Number:
            constant = None if expr in place else self.graph.scalar(expr)
            if constant is not None:
                return Number(constant)
            if expr not in place:
                call = self.graph.values[expr]
                kind, args = self.graph.kind(call), tuple(map(arg, self._operands(expr)))
                limits = self.graph.limits(call) if kind == CLIP else None
                steps.extend(
                    [Step(kind, args, options_of(kind, call))]
                    if limits is None
                    else clipped(args[0], *limits, place=len(steps) + 1)
                )
                place[expr] = len(steps)
            return place[expr]

        arg(self.root)
        return tuple(steps)


def _candidates(chain: Chain) -> list[tuple[Operator, dict[str, float]]]:
    """Operators and parameters that the chain could compute."""
    rows = [row for row in OPERATORS.values() if row.elementwise]
    # An operator with its default parameters precedes one with others: gelu_quick before silu.
    found = [(row, dict(row.parameters)) for row in rows]
    magnitudes = [abs(c) for c in numbers(chain) if c]
    values = list(dict.fromkeys(v for c in magnitudes for v in (c, 1 / c)))
    for row in rows:
        if len(row.parameters) == 1 and row.any_parameter:
            found += [(row, {key: v}) for key in row.parameters for v in values]
    return found


def _special(row: Operator, parameters: dict[str, float]) -> np.ndarray:
    """The operator's values at -inf, inf and NaN."""
    points = np.array([-np.inf, np.inf, np.nan])
    assert row.reference is not None
    exact = row.reference(reference.NUMPY, points, **parameters)
    return np.where(np.isnan(exact), [row.special[x] for x in row.special], exact)


@lru_cache(maxsize=4096)
def _match(chain: Chain) -> tuple[str, dict[str, float]] | None:
    """The operator of the registry that the chain computes, and its parameters.

    None if there is none.
    """
    values = evaluate(chain, _POINTS)
    if not np.all(np.isfinite(values)):
        return None
    for row, parameters in _candidates(chain):
        assert row.reference is not None
        function = partial(row.reference, reference.NUMPY, **parameters)
        with np.errstate(all="ignore"):
            exact, special = function(_POINTS), _special(row, parameters)
        near = np.abs(values - exact) <= _RELATIVE * np.abs(exact) + _ABSOLUTE
        if np.sum(~near) <= _CANCELLED and proves(chain, function, special):
            return row.name, parameters
    return None


def find(graph: Graph, claimed: frozenset[Expr] = frozenset()) -> list[Site]:
    """Every element-wise nonlinearity of the function outside ``claimed``, in reverse order."""
    sites: list[Site] = []
    taken = set(claimed)
    for root in reversed(list(graph.values)):
        if root in taken or graph.shape(root) is None:
            continue
        region = _Region(graph, root)
        for source in region.inputs():
            nodes = region.between(source)
            if nodes is None:
                continue
            matched = _match(region.chain(source))
            if matched is None:
                continue
            operator, parameters = matched[0], dict(matched[1])
            names = [graph.kind(graph.values[v]) for v in reversed(nodes)]
            site = Site(root, operator, (source,), "+".join(names), frozenset(nodes), parameters)
            sites.append(site)
            # A part of the region that other code uses too can be a site of its own.
            taken |= graph.owned(root, site.region)
            break
    return sites
