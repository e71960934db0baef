"""The conversion of an exported program: its inputs, operators and outputs.

Knows no operator but those that compute sizes.
"""

import logging
import operator
from contextlib import nullcontext
from typing import Any

import sympy
import torch
import tvm
import tvm_ffi
from torch import fx
from torch._ops import HigherOrderOperator
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils._sympy import functions as torch_sympy
from torch.utils._sympy.printers import PythonPrinter
from tvm import relax

from ...errors import QuakeError, last_line
from ...kernels.fitted import fitted
from ...runtime.description import OUTPUTS, Range
from ...runtime.extent_limits import ExtentLimits
from ...runtime.state import STATE
from ...tvm_version import updated
from . import (  # noqa: F401  they enter their operators in the table
    attention,
    binary,
    complex_functions,
    creation,
    division,
    elementwise,
    fourier,
    indexing,
    layout,
    masks,
    norms,
    pads,
    pools,
    products,
    quantized,
    recurrent,
    reductions,
    resize,
)
from .assumed import LEAST, follows
from .changed_buffers import changed_buffers
from .complex_values import Complex, convert, from_real, is_complex
from .converter import CONVERTERS, Context, Missing, arguments, dims, dtype_name, is_float
from .creation import constant
from .decomposed import decomposed
from .output_names import output_names
from .sizes import Sizes

logger = logging.getLogger(__name__)

# Of layers in training mode. In eval() mode torch uses others, or none.
_TRAINING = (
    "aten._native_batch_norm_legit_functional.default",
    "aten.native_dropout.default",
)


def to_relax(program: torch.export.ExportedProgram) -> tvm.IRModule:
    """Import a program.

    Parameters
    ----------
    program : torch.export.ExportedProgram
        Weights become constants. Inputs that are numbers or None are fixed at their values.

    Returns
    -------
    tvm.IRModule
        With a function ``main`` of the program's tensor inputs in their order. It returns the
        program's outputs, flattened, in their order. Numbers are returned as tensors without
        dimensions; None is left out. Buffers that the program changes are further inputs, and
        their new values further outputs (:mod:`quake_tvm.runtime.state`).

    Raises
    ------
    QuakeError
        For an operator or an argument that cannot be compiled, for a program that changes a complex
        buffer, and for sizes that depend on data.

    Notes
    -----
    If the program writes into an input, the caller's array does not change.
    """
    shape_env = _shape_env(program)
    program = decomposed(program)
    _check_outputs(program)
    return _Import(program, shape_env).module()


def _shape_env(program: torch.export.ExportedProgram) -> Any:
    """The constraints on sizes that the export assumed; None if all sizes are fixed."""
    for node in program.graph.find_nodes(op="placeholder"):
        for size in getattr(node.meta.get("val"), "shape", ()):
            if isinstance(size, torch.SymInt):
                return size.node.shape_env
    return None


def _asserted(graph: fx.Graph) -> list[Any]:
    """The conditions on sizes that a program asserts."""
    nodes = graph.find_nodes(op="call_function", target=torch.ops.aten._assert_scalar.default)
    stated = [node.args[0].meta["val"] for node in nodes if isinstance(node.args[0], fx.Node)]
    return [value.node.expr for value in stated if isinstance(value, torch.SymBool)]


def _check_outputs(program: torch.export.ExportedProgram) -> None:
    for spec in program.graph_signature.output_specs:
        if spec.kind == OutputKind.USER_INPUT_MUTATION:
            logger.warning("the program writes into input %r, which stays as it is", spec.target)
        elif spec.kind not in (OutputKind.USER_OUTPUT, OutputKind.BUFFER_MUTATION):
            raise QuakeError(f"the program has an output of kind {spec.kind.name}")


class _Import:
    def __init__(self, program: torch.export.ExportedProgram, shape_env: Any) -> None:
        self.program, self.shape_env = program, shape_env
        self.asserted = _asserted(program.graph)
        # All nodes are pure, but for assertions. Of these only the ones about sizes are checked.
        program.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        self.sizes = Sizes()
        self.builder = relax.BlockBuilder()
        self.values: dict[fx.Node, Any] = {}
        self.state = changed_buffers(program)

    def module(self) -> tvm.IRModule:
        nodes = list(self.program.graph.nodes)
        placeholders = [n for n in nodes if n.op == "placeholder"]
        inputs = self._inputs(placeholders)
        self.sizes.check_formulas()
        # No dataflow block can contain a branch.
        straight = not any(node.target is torch.ops.higher_order.cond for node in nodes)
        with self.builder.function("main", inputs):
            try:
                with self.builder.dataflow() if straight else nullcontext():
                    self._narrow_state(placeholders)
                    self._fit_inputs(placeholders)
                    emit = self.builder.emit_output if straight else self.builder.emit
                    output = emit(self._outputs(self._body(nodes)))
            except BaseException:
                self.builder._end_block()  # the builder complains about a block that is left open
                raise
            self.builder.emit_func_output(output)
        mod = self.builder.get()
        main = mod.get_global_var("main")
        names = [*output_names(self.program), *(buffer.name for buffer in self.state)]
        function = mod[main].with_attr(OUTPUTS, names)
        if self.state:
            function = function.with_attr(STATE, [b.initial.to_json() for b in self.state])
        return updated(mod, {main: self._limits().write(function)})

    def _fit_inputs(self, placeholders: list[fx.Node]) -> None:
        """Write dimensions of inputs as the formulas that give them, as the rest of the program."""
        for node in placeholders:
            value, fake = self.values[node], node.meta.get("val")
            if not isinstance(value, relax.Var) or not isinstance(fake, torch.Tensor):
                continue
            shape = self.sizes.shape(fake.shape)
            if not tvm_ffi.structural_equal(value.ty.shape, relax.ShapeExpr(shape)):
                self.values[node] = self.builder.emit(fitted(value, shape))

    def _narrow_state(self, placeholders: list[fx.Node]) -> None:
        """Give buffers that the state has in float32 their own dtype."""
        for node in placeholders:
            value, fake = self.values[node], node.meta.get("val")
            if isinstance(value, relax.Var) and isinstance(fake, torch.Tensor):
                context = Context(self.builder, self.sizes, node)
                self.values[node] = context.cast(value, context.dtype)

    def _body(self, nodes: list[fx.Node]) -> fx.Node:
        """Convert the nodes; the one that returns the outputs."""
        for node in nodes:
            if node.op == "call_function":
                self.values[node] = self._call(node)
            elif node.op == "get_attr":
                self.values[node] = Missing("a branch of the program")
            elif node.op == "output":
                return node
        raise QuakeError("the program has no output")

    def _choice(self, node: fx.Node) -> list[Any]:
        """The results of torch.cond. A run computes those of one branch."""
        condition, then, other, operands = node.args
        test = self._value(condition)
        branches = [self._branch(branch, operands) for branch in (then, other)]
        results = self.builder.emit(relax.If(test, *branches))
        context = Context(self.builder, self.sizes, node)
        parts = [self.builder.emit(results[k]) for k in range(len(node.meta["val"]))]
        return self._checked(context, parts, node.meta["val"])

    def _branch(self, branch: Any, operands: Any) -> relax.SeqExpr:
        graph = branch.graph.owning_module.get_submodule(branch.target).graph
        inputs = graph.find_nodes(op="placeholder")
        self.values |= zip(inputs, map(self._value, operands), strict=True)
        self.builder._begin_binding_block()
        try:
            results = self._value(self._body(list(graph.nodes)).args[0])
            if not all(isinstance(result, relax.Expr) for result in results):
                raise QuakeError("a branch of torch.cond gives something other than real tensors")
            value = self.builder.emit(relax.Tuple(results))
        finally:
            block = self.builder._end_block()
        return relax.SeqExpr([block], value)

    def _limits(self) -> ExtentLimits:
        """The ranges of the dimensions, and further conditions of the program."""
        ranges: dict[str, Range] = {}
        stated = self._stated()
        for symbol, limits in self.program.range_constraints.items():
            least = int(limits.lower) if limits.lower > LEAST else 0
            if follows(symbol, least, stated):
                least = 0
            most = int(limits.upper) if limits.upper.is_Integer else None
            factor, name = self.sizes.multiples.get(symbol, (1, symbol))
            if str(name) in self.sizes.variables and (least or most is not None):
                ranges[str(name)] = factor * least, None if most is None else factor * most
        return ExtentLimits(tuple(self._conditions(stated)), ranges)

    def _stated(self) -> list[sympy.Expr]:
        """Conditions on sizes that the export relies on, in its symbols."""
        guards = [] if self.shape_env is None else self.shape_env.guards
        return [g.expr.xreplace(self.shape_env.replacements) for g in guards] + self.asserted

    def _conditions(self, stated: list[sympy.Expr]) -> list[str]:
        """Conditions on sizes under which the program is valid, as Python of their names."""
        found = [self.sizes.in_dimensions(condition, whole=True) for condition in stated]
        for factor, whole in self.sizes.multiples.values():
            found.append(sympy.Eq(torch_sympy.PythonMod(whole, factor), 0))
        for dimension, formula in self.sizes.formulas.items():
            found.append(sympy.Eq(dimension, self.sizes.in_dimensions(formula, whole=True)))
        known = self.sizes.variables.keys()
        texts = [
            PythonPrinter().doprint(condition)
            for condition in found
            if condition.free_symbols and {str(s) for s in condition.free_symbols} <= known
        ]
        return list(dict.fromkeys(texts))

    def _inputs(self, placeholders: list[fx.Node]) -> list[relax.Var]:
        program, found, state = self.program, [], {}
        changed = {buffer.name: buffer for buffer in self.state}
        specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        held = {**program.state_dict, **program.constants}
        for node in placeholders:
            spec, fake = specs[node.name], node.meta.get("val")
            if spec.target in changed:
                initial = changed[spec.target].initial
                ty = relax.TensorType(initial.shape, initial.dtype)
                self.values[node] = state[spec.target] = relax.Var(node.name, ty)
            elif spec.kind != InputKind.USER_INPUT:
                if not isinstance(held.get(spec.target), torch.Tensor):
                    self.values[node] = Missing(f"{spec.target} ({spec.kind.name})")
                    continue
                self.values[node] = _held(held[spec.target])
            elif isinstance(spec.arg, ConstantArgument):
                self.values[node] = spec.arg.value
            elif isinstance(fake, torch.Tensor):
                if fake.is_complex():
                    raise QuakeError(
                        f"input {node.name!r} is complex; take its view_as_real as the input"
                    )
                shape = self.sizes.of_input(node.name, fake.shape)
                ty = relax.TensorType(shape, dtype_name(fake.dtype))
                self.values[node] = relax.Var(node.name, ty)
                found.append(self.values[node])
            else:
                raise QuakeError(
                    f"input {node.name!r} is a {type(fake).__name__}: only tensors can vary; "
                    "export the program with this input fixed, or as a tensor"
                )
        return [*found, *(state[buffer.name] for buffer in self.state)]

    def _value(self, raw: Any) -> Any:
        """A node's argument, with nodes replaced by their values."""

        def value(node: fx.Node) -> Any:
            found = self.values[node]
            if isinstance(found, Missing):
                raise QuakeError(f"the program uses {found.reason}, which is not computed")
            return found

        if isinstance(raw, list | tuple):
            return [self._value(item) for item in raw]
        return value(raw) if isinstance(raw, fx.Node) else raw

    def _call(self, node: fx.Node) -> Any:
        fake, target = node.meta.get("val"), str(node.target)
        if isinstance(fake, torch.SymInt | torch.SymFloat | torch.SymBool):
            return self.sizes.of(fake)
        if isinstance(fake, int | float | bool):
            return fake
        if node.target is operator.getitem:
            source: Any = node.args[0]
            return self.values[source][node.args[1]]
        if node.target is torch.ops.higher_order.cond:
            return self._choice(node)
        if isinstance(node.target, HigherOrderOperator):  # while_loop, ...: it has no schema
            raise _no_converter(target)
        context = Context(self.builder, self.sizes, node)
        if target in _TRAINING:
            raise context.in_training()
        given = arguments(context, self._value)
        try:
            if any(map(is_complex, given.values())):
                result = convert(context, given)
            elif target in CONVERTERS:
                result = CONVERTERS[target][0](context, **given)
            else:
                raise _no_converter(target)
            if (
                isinstance(result, relax.Expr)
                and isinstance(fake, torch.Tensor)
                and fake.is_complex()
            ):
                result = from_real(context, result)
        except QuakeError:
            raise
        except Exception as error:
            reason = last_line(error)
            raise QuakeError(f"TVM cannot take torch operator {target}: {reason}") from error
        return self._checked(context, result, fake)

    def _checked(self, context: Context, result: Any, fake: Any) -> Any:
        """A result with the dtype and the shape that torch states."""
        if isinstance(result, list | tuple):
            return [
                one if isinstance(one, Missing) else self._checked(context, one, stated)
                for one, stated in zip(result, fake, strict=False)
            ]
        if isinstance(result, Complex):
            parts = (self._checked(context, x, fake.real) for x in (result.real, result.imag))
            return Complex(*parts)
        node = context.node
        if result.ty.shape is None:
            raise QuakeError(f"torch operator {node.target} has sizes that TVM cannot follow")
        got = (str(result.ty.dtype), dims(result))
        wanted = (dtype_name(fake.dtype), self.sizes.shape(fake.shape))
        if got[0] != wanted[0] or len(got[1]) != len(wanted[1]):
            shown = [f"{dtype} {tuple(map(str, shape))}" for dtype, shape in (wanted, got)]
            raise QuakeError(f"torch operator {node.target} gives {shown[0]}, TVM {shown[1]}")
        return context.fit(result, wanted[1])

    def _outputs(self, node: fx.Node) -> relax.Expr:
        specs = self.program.graph_signature.output_specs
        found = []
        results: Any = node.args[0]
        state = {
            spec.target: self._value(raw)
            for raw, spec in zip(results, specs, strict=True)
            if spec.kind == OutputKind.BUFFER_MUTATION
        }
        for raw, spec in zip(results, specs, strict=True):
            if spec.kind != OutputKind.USER_OUTPUT:
                continue
            value = self._value(raw)
            if isinstance(value, Complex):
                raise QuakeError("an output of the program is complex; return its view_as_real")
            if isinstance(value, bool | int | float):
                value = constant(torch.tensor(value, dtype=_NUMBERS[type(value)]))
            elif value is not None and not isinstance(value, relax.Expr):
                raise QuakeError(f"an output of the program is a {type(value).__name__}")
            if value is not None and not isinstance(value.ty, relax.TensorType):
                kind = str(value.ty.dtype)
                number = "float64" if is_float(kind) else "bool" if kind == "bool" else "int64"
                value = Context(self.builder, self.sizes, node).tensor(value, number)
            if value is not None:
                found.append(value)
        if not found:
            raise QuakeError("the program has no output")
        context = Context(self.builder, self.sizes, node)
        kept = [context.cast(state[b.name], b.initial.dtype) for b in self.state]
        return relax.Tuple([*found, *kept])


def _no_converter(target: str) -> QuakeError:
    return QuakeError(
        f"torch operator {target} cannot be compiled; replace it in the module, or import the "
        "program yourself and pass the IRModule"
    )


def _held(tensor: torch.Tensor) -> relax.Expr | Complex:
    """A tensor of the program as a constant."""
    if not tensor.is_complex():
        return constant(tensor)
    tensor = tensor.resolve_conj()
    return Complex(constant(tensor.real), constant(tensor.imag))


_NUMBERS = {bool: torch.bool, int: torch.int64, float: torch.float64}
