"""Find element-wise nonlinearities, however an exporter has written them down.

A region of element-wise operators between one tensor and one result, with only splat constants
beside it, computes a function of one variable. Instead of a list of patterns (ONNX's
Div-Erf-Add-Mul-Mul in its several orders, tf2onnx's, torch.export's, ELU from two relus, ...) the
region is *evaluated* on a few hundred points and compared with every operator of the registry.
The order, commutation or disguise of the formula does not matter, only what it computes.
"""

from collections.abc import Callable

import numpy as np

from quake_tvm import reference
from quake_tvm.operators import OPERATORS

from .graph import Expr, Graph, Site

# Enough to tell any two operators apart, at zero, in both tails, and on a fine grid between.
_POINTS = np.concatenate(
    [
        np.linspace(-12, 12, 241) + 1e-3,
        [s * v for v in (1e-3, 1e-2, 15.0, 19.9, 25.0, 40.0, 60.0, 80.0) for s in (-1, 1)],
    ]
)
# Constants are rounded to float32, 1 + erf and the like to float64: no more than that is forgiven,
# or an epsilon that someone added against log(0) would be lost.
_RELATIVE, _ABSOLUTE = 4e-6, 1e-13
_MAX_NODES = 24

_EXPONENTIAL = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": lambda x: reference.sigmoid(reference.NUMPY, x),
    "erf": reference.NUMPY.erf,
    "nn.gelu": lambda x: reference.gelu(reference.NUMPY, x),
    "nn.gelu_tanh": lambda x: reference.gelu_tanh(reference.NUMPY, x),
    "nn.silu": lambda x: reference.silu(reference.NUMPY, x),
    "nn.selu": lambda x: reference.selu(reference.NUMPY, x),
}
_ALGEBRAIC = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "negative": np.negative,
    "abs": np.abs,
    "square": np.square,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "log": np.log,
    "nn.relu": lambda x: np.maximum(x, 0),
    "where": np.where,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
}


def evaluator(kind: str, call: Expr) -> Callable | None:
    """The call's function on float64 arrays, None if it is not element-wise."""
    if kind == "nn.softplus":
        beta, threshold = float(call.attrs.beta), float(call.attrs.threshold)

        def softplus(x: np.ndarray) -> np.ndarray:
            return np.where(beta * x > threshold, x, reference.softplus(reference.NUMPY, x, beta))

        return softplus
    return _EXPONENTIAL.get(kind) or _ALGEBRAIC.get(kind)


def _is_exponential(kind: str) -> bool:
    return kind in _EXPONENTIAL or kind == "nn.softplus"


class _Region:
    """The element-wise operators above ``root``, nearest first."""

    def __init__(self, graph: Graph, root: Expr) -> None:
        self.graph, self.root = graph, root
        self.nodes: list[Expr] = []
        queue = [root]
        while queue and len(self.nodes) <= _MAX_NODES:
            var = queue.pop(0)
            if var in self.nodes or not self._inside(var):
                continue
            self.nodes.append(var)
            queue += [a for a in graph.values[var].args if a in graph.values]

    def _inside(self, var: Expr) -> bool:
        call = self.graph.values[var]
        known = evaluator(self.graph.kind(call), call) is not None
        return known and self.graph.same_shape(var, self.root)

    def inputs(self) -> list[Expr]:
        """Tensors the region could be a function of, nearest first."""
        found: list[Expr] = []
        dtype = self.graph.dtype
        for var in self.nodes:
            for arg in self.graph.values[var].args:
                if self.graph.scalar(arg) is not None or arg in found:
                    continue
                if self.graph.same_shape(arg, self.root) and dtype(arg) == dtype(self.root):
                    found.append(arg)
        return found

    def between(self, source: Expr) -> list[Expr] | None:
        """The nodes from ``source`` to the root, None if something else flows in."""
        nodes: list[Expr] = []
        queue: list[Expr] = [self.root]
        while queue:
            expr = queue.pop(0)
            if expr in nodes or expr == source or self.graph.scalar(expr) is not None:
                continue
            if expr not in self.nodes:
                return None
            nodes.append(expr)
            queue += list(self.graph.values[expr].args)
        kinds = [self.graph.kind(self.graph.values[v]) for v in nodes]
        return nodes if any(map(_is_exponential, kinds)) else None

    def evaluate(self, source: Expr, points: np.ndarray) -> np.ndarray:
        """The root's values where ``source`` takes the values ``points``."""
        known: dict[Expr, np.ndarray] = {}

        def value(expr: Expr) -> np.ndarray:
            if expr == source:
                return points
            constant = self.graph.scalar(expr)
            if constant is not None:
                return np.float64(constant)
            if expr not in known:
                call = self.graph.values[expr]
                known[expr] = evaluator(self.graph.kind(call), call)(*map(value, call.args))
            return known[expr]

        with np.errstate(all="ignore"):
            return np.broadcast_to(value(self.root), points.shape)

    def constants(self, nodes: list[Expr]) -> list[float]:
        """Magnitudes that a parameter of the operator may have, from the nodes' constants."""
        found = []
        for var in nodes:
            for arg in self.graph.values[var].args:
                c = self.graph.scalar(arg)
                if c:
                    found += [abs(c), 1 / abs(c)]
            if self.graph.kind(self.graph.values[var]) == "nn.softplus":
                found.append(float(self.graph.values[var].attrs.beta))
        return list(dict.fromkeys(found))


def _match(values: np.ndarray, constants: list[float]) -> tuple[str, dict[str, float]] | None:
    """The registry's operator with these values at ``_POINTS``, and its parameters."""
    if not np.all(np.isfinite(values)):
        return None
    rows = [row for row in OPERATORS.values() if row.elementwise]
    # An operator as it stands comes before another with a parameter, gelu_quick before silu.
    candidates = [(row, dict(row.parameters)) for row in rows]
    for row in rows:
        if len(row.parameters) == 1 and row.name != "gelu_quick":
            candidates += [(row, {key: c}) for key in row.parameters for c in constants]
    for row, parameters in candidates:
        with np.errstate(all="ignore"):
            exact = row.reference(reference.NUMPY, _POINTS, **parameters)
        if np.all(np.abs(values - exact) <= _RELATIVE * np.abs(exact) + _ABSOLUTE):
            return row.name, parameters
    return None


def find(graph: Graph, claimed: frozenset[Expr] = frozenset()) -> list[Site]:
    """Every element-wise nonlinearity of the function outside ``claimed``, largest first."""
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
            matched = _match(region.evaluate(source, _POINTS), region.constants(nodes))
            if matched is None:
                continue
            operator, parameters = matched
            names = [graph.kind(graph.values[v]) for v in reversed(nodes)]
            site = Site(root, operator, (source,), "+".join(names), frozenset(nodes), parameters)
            sites.append(site)
            # A part that others use as well is a site of its own.
            taken |= graph.owned(root, site.region)
            break
    return sites
