"""The longest rows that enter a model's norms on given inputs."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from ..compiler import compile
from ..errors import QuakeError
from ..tvm_version import updated
from .walk import is_norm

op = relax.op


def largest(mod: tvm.IRModule, inputs: Sequence[Mapping[str, np.ndarray]]) -> list[float]:
    """The largest root sum of squares that enters each norm of ``main``, in their order.

    Parameters
    ----------
    mod : IRModule
        With its norms recognised, and no branch in ``main``.
    inputs : sequence of mapping of input name to array
        Of one run each.

    Raises
    ------
    QuakeError
        For inputs that do not fit, and if a norm's rows are NaN or none.
    """
    watch = _Watch(mod)
    watched = updated(mod, {mod.get_global_var("main"): watch.visit_expr(mod["main"])})
    if not watch.sums:
        return []
    model = compile(watched, method="exact")
    runs = [[float(total) for total in model.run(dict(call))] for call in inputs]
    most = np.max(runs, axis=0)
    if not (most >= 0).all():  # NaN, or the maximum of nothing
        raise QuakeError("the inputs give a norm no rows, or rows of NaN: give typical inputs")
    return [math.sqrt(total) for total in most]


@mutator
class _Watch(PyExprMutator):
    """Makes ``main`` return the largest sum of squares of each norm's rows."""

    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.body = mod["main"].body
        self.sums: list[relax.Expr] = []

    def visit_seq_expr_(self, sequence: relax.SeqExpr) -> relax.Expr:
        blocks = [self._block(block) for block in sequence.blocks]
        return self.builder_.normalize(relax.SeqExpr(blocks, relax.Tuple(self.sums)))

    def _block(self, block: relax.BindingBlock) -> relax.BindingBlock:
        builder = self.builder_
        if isinstance(block, relax.DataflowBlock):
            builder._begin_dataflow_block()
            emit = builder.emit_output
        else:
            builder._begin_binding_block()
            emit = builder.emit
        for binding in block.bindings:
            if is_norm(binding.value):
                x = self.visit_expr(binding.value.args[0])
                squares = builder.emit(op.sum(builder.emit(op.multiply(x, x)), axis=[-1]))
                self.sums.append(emit(op.max(squares)))
            self.visit_binding(binding)
        return builder._end_block()
