"""Make the branches of If functions of their own, and the rest of their function dataflow blocks.

TVM fuses and folds only in dataflow blocks, which cannot contain an If, and plans memory only for
what is not in a branch. The functions are lowered, fused, planned and scheduled as any other.
Sizes that do not follow from the shapes of what a branch reads are arguments.
"""

import tvm
from tvm import relax

from quake_tvm.tvm_version import Pass


@tvm.transform.module_pass(opt_level=0, name="OutlineBranches")
class OutlineBranches(Pass):
    """Replace each branch of If by a call of a private function."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Outline the branches of all functions."""
        outliner = _Outliner(mod)
        for name, function in mod.functions_items():
            if isinstance(function, relax.Function) and _has_if(function):
                outliner.builder_.update_func(name, outliner.visit_expr(function))
        if not outliner.found:
            return mod
        return relax.transform.ConvertToDataflow(min_size=1)(outliner.builder_.get())


@relax.expr_functor.mutator
class _Outliner(relax.PyExprMutator):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.found = False

    def visit_if_(self, op: relax.If) -> relax.Expr:
        self.found = True
        condition = self.visit_expr(op.cond)
        return relax.If(
            condition, self._call(op.true_branch, "then"), self._call(op.false_branch, "else")
        )

    def _call(self, branch: relax.Expr, name: str) -> relax.Expr:
        """A call of a new function that has the branch as its body."""
        body = self.visit_with_new_scope(branch)
        if not isinstance(body, relax.SeqExpr) or not body.blocks:
            return body
        read = relax.analysis.free_vars(body)
        inputs = [v for v in read if not isinstance(v.ty, tvm.ir.PrimType)]  # not sizes
        parameters = [relax.Var(v.name, v.ty) for v in inputs]
        function = relax.Function(parameters, _bound(body, inputs, parameters), body.ty)
        arguments: list[relax.Expr] = list(inputs)
        if unknown := list(relax.analysis.free_symbolic_vars(function)):
            sizes = relax.Var("sizes", relax.ShapeType(unknown))
            function = relax.Function([*parameters, sizes], function.body, body.ty)
            arguments.append(relax.ShapeExpr(unknown))
        function = relax.utils.copy_with_new_vars(function).without_attr("global_symbol")
        call = relax.Call(self.builder_.add_func(function, f"{name}_branch"), arguments)
        return self.builder_.normalize(call)


def _bound(body: relax.Expr, inputs: list[relax.Var], parameters: list[relax.Var]) -> relax.Expr:
    function = relax.Function(inputs, body, body.ty)
    return function.bind_params(dict(zip(inputs, parameters, strict=True))).body


def _has_if(function: relax.Function) -> bool:
    found = False

    def visit(expr: relax.Expr) -> None:
        nonlocal found
        found |= isinstance(expr, relax.If)

    relax.analysis.post_order_visit(function.body, visit)
    return found
