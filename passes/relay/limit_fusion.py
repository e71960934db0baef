"""Split Relay's fused kernels that are too large to compile well.

An operator that reads its operand several times doubles a kernel's expression, step by step. So
each function that FuseOps made is measured. Functions that are too large are inlined into their
callers, with TVM's ``stop_fusion`` where they must be cut, and FuseOps runs again. It leaves the
other kernels as they are, so the number of kernels grows in each round and the process ends. A
module without large kernels is unchanged.
"""

from collections.abc import Iterator

import tvm
from tvm import relay
from tvm.relay.op.annotation import stop_fusion

from quake_tvm.tvm_version import updated

from .graph import functions, has_mark, mutated, op_name
from .ops import operator_of

# The largest size in nodes of an element's expression, and the sizes of TVM's operators and ours.
LARGEST, _ONE, _OURS = 1024, 3, 64
# Operators whose code contains several copies of the first operand.
_COPIES = {"tanh": 5, "tan": 2, "atanh": 2, "nn.leaky_relu": 3, "nn.prelu": 3, "sign": 2}

Large = dict[relay.Function, set[relay.Expr]]


def _calls(body: relay.Expr) -> Iterator[relay.Call]:
    """Calls of operators, operands first."""
    order: list[relay.Expr] = []
    relay.analysis.post_order_visit(body, order.append)
    return (expr for expr in order if op_name(expr))


def _cuts(kernel: relay.Function) -> set[relay.Expr]:
    """The results within a kernel that must become results of separate kernels."""
    sizes: dict[relay.Expr, int] = {}
    cuts: set[relay.Expr] = set()
    for call in _calls(kernel.body):
        copies = _COPIES.get(op_name(call), 1)
        own = _OURS if operator_of(call) is not None else _ONE
        args = list(call.args)
        counts = [copies if n == 0 else 1 for n in range(len(args))]

        def total(args: list[relay.Expr] = args, counts: list[int] = counts, own: int = own) -> int:
            pairs = zip(args, counts, strict=True)
            return own + sum(count * sizes.get(arg, 1) for arg, count in pairs)

        while total() > LARGEST and any(sizes.get(arg, 1) > 1 for arg in args):
            largest = max(args, key=lambda arg: sizes.get(arg, 1))
            cuts.add(largest)
            sizes[largest] = 1
        sizes[call] = total()
    return cuts


class _Open(relay.ExprMutator):
    """Inlines large kernels into their callers, with cuts."""

    def __init__(self, large: Large) -> None:
        super().__init__()
        self.large = large

    def visit_call(self, call: relay.Call) -> relay.Expr:
        if call.op not in self.large:
            return super().visit_call(call)
        body = mutated(call.op, _Stop(self.large[call.op])).body
        args = [self.visit(arg) for arg in call.args]
        return relay.bind(body, dict(zip(call.op.params, args, strict=True)))

    def visit_function(self, function: relay.Function) -> relay.Expr:
        """Leave kernels unchanged."""
        return function if has_mark(function, "Primitive") else super().visit_function(function)


class _Stop(relay.ExprMutator):
    """Inserts ``stop_fusion`` after some results."""

    def __init__(self, cuts: set[relay.Expr]) -> None:
        super().__init__()
        self.cuts = cuts

    def visit_call(self, call: relay.Call) -> relay.Expr:
        result = super().visit_call(call)
        return stop_fusion(result) if call in self.cuts else result

    def visit_function(self, function: relay.Function) -> relay.Function:
        """Leave parameters unchanged, since they are bound next."""
        return relay.Function(function.params, self.visit(function.body))

    def visit_var(self, var: relay.Var) -> relay.Var:
        return var


def limit(fused: tvm.IRModule) -> tvm.IRModule:
    """The module after FuseOps, with kernels that are not too large."""
    large: Large = {}
    for _, function in functions(fused):
        found: list[relay.Expr] = []
        relay.analysis.post_order_visit(function, found.append)
        kernels = (expr for expr in found if has_mark(expr, "Primitive"))
        large |= {kernel: cuts for kernel in kernels if (cuts := _cuts(kernel))}
    if not large:
        return fused
    opened = {name: mutated(function, _Open(large)) for name, function in functions(fused)}
    opened = relay.transform.InferType()(updated(fused, opened))
    return limit(relay.transform.FuseOps()(opened))
