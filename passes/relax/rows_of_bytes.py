"""Give operators over rows quantized operands and results.

Their kernels read and store the bytes, so that the float32 tensors around an operator are not
needed. Knows no formula.
"""

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass

from .graph import Graph, dtype, op_name
from .lower import OF_BYTES
from .ops import attributes_of, operator_of
from .ops import call as quake_call
from .quantized import dequantized, factored, number, rewritten

# The number of a site that says what a row of -inf gives. Quantized tensors have none.
_EMPTY = "empty"
# With scales from here to there no exponential or quotient leaves the normal numbers of float32.
_LEAST_STEP, _LARGEST_STEP, _LEAST_UNIT = 2.0**-64, 2.0**64, 2.0**-32


@mutator
class _Bytes(PyExprMutator):
    """Rewrites one function."""

    graph: Graph

    def visit_function_(self, function: relax.Function) -> relax.Expr:
        """Rewrite a function of the module."""
        self.graph = Graph(function)
        return super().visit_function_(function)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Replace a quantization of an operator's result."""
        found = self._of_bytes(call)
        return super().visit_call_(call) if found is None else self.visit_expr(found)

    def _of_bytes(self, call: relax.Call) -> relax.Call | None:
        if op_name(call) != "relax.quantize":
            return None
        scaled, y_scale, y_zero = call.args
        result, factor = factored(scaled, self.graph.value(scaled))
        site = self.graph.value(result)
        operator = operator_of(site)
        if operator not in OF_BYTES or len(site.args) > 1 or len(self.graph.users[result]) > 1:
            return None
        x = dequantized(self.graph.value(site.args[0]))
        if x is None or dtype(x.x) != str(call.attrs.out_dtype):
            return None
        x_scale, unit, zero = map(number, (x.scale, y_scale, y_zero))
        if x_scale is None or unit is None or zero is None or not (x.whole and factor > 0):
            return None
        attributes = attributes_of(site).to_attrs()
        attributes.pop(_EMPTY, None)
        unit /= factor
        step = x_scale * attributes.get("scale", 1.0)
        if not _LEAST_STEP <= step <= _LARGEST_STEP or not unit >= _LEAST_UNIT:
            return None
        numbers = {"x_scale": x_scale, "y_scale": unit, "y_zero": zero}
        return quake_call(operator, x.x, **attributes, **numbers)


@tvm.transform.module_pass(opt_level=0, name="RowsOfBytes")
class RowsOfBytes(Pass):
    """Rewrite operators over rows between a dequantization and a quantization with known numbers.

    Runs after recognition.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. What nothing reads any longer is removed."""
        return rewritten(mod, "relax.quantize", _Bytes)
