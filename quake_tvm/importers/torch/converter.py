"""The conversion of one node of an exported program to Relax, and the table of converters.

A converter is a function registered for the operators of torch that it implements. Its parameters
after the first are arguments of the operator, with torch's names. An argument that is not among the
parameters must have its default value, so that no argument is ignored. Knows no operator.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import tvm
from torch import fx
from torch._prims_common import ELEMENTWISE_TYPE_PROMOTION_KIND, elementwise_dtypes
from tvm import relax, te, tirx

from ...errors import QuakeError
from ...kernels.fitted import fitted
from ...kernels.size_check import Need, Pair, equal, held
from ...tvm_version import replace_variable
from .sizes import Sizes

Convert = Callable[..., Any]
CONVERTERS: dict[str, tuple[Convert, tuple[str, ...]]] = {}
# Arguments about a tensor's placement change no value. The tensor must be dense and on the CPU.
_PLACE = {
    "device": lambda device: device is None or torch.device(device).type == "cpu",
    "layout": lambda layout: layout in (None, torch.strided),
    "pin_memory": lambda pinned: not pinned,
    "memory_format": lambda _: True,
    "non_blocking": lambda _: True,
    "implicit": lambda _: True,
}
DEFAULT = ELEMENTWISE_TYPE_PROMOTION_KIND.DEFAULT
TO_FLOAT = ELEMENTWISE_TYPE_PROMOTION_KIND.INT_TO_FLOAT
HALF = ("float16", "bfloat16")


def converts(*operators: str, namespace: str = "aten") -> Callable[[Convert], Convert]:
    """Register a function for operators; "add.Tensor" stands for ``aten.add.Tensor``."""

    def enter(function: Convert) -> Convert:
        names = tuple(inspect.signature(function).parameters)[1:]
        for operator in operators:
            CONVERTERS[f"{namespace}.{operator}"] = function, names
        return function

    return enter


def dtype_name(dtype: torch.dtype) -> str:
    """TVM's name of a dtype. Raises QuakeError for complex and quantized dtypes."""
    name = str(dtype).removeprefix("torch.")
    try:
        if name.startswith("complex"):
            raise ValueError
        return str(tvm.ir.PrimType(name))
    except ValueError:
        raise QuakeError(f"the program has values of {dtype}, which cannot be compiled") from None


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of a complex dtype's parts; any other dtype as it is."""
    return dtype.to_real() if dtype.is_complex else dtype


def dims(x: relax.Expr) -> list[Any]:
    """The sizes of a tensor: ints, or expressions where they are dynamic."""
    return [int(n) if isinstance(n, tirx.IntImm) else n for n in x.ty.shape]


def same_size(a: Any, b: Any) -> bool:
    """Whether two sizes are equal for all values of their variables."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return tvm.sym.Analyzer().can_prove_equal(a, b)


def dtype_of(x: relax.Expr) -> str:
    return str(x.ty.dtype)


def is_float(dtype: str) -> bool:
    return "float" in dtype


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis from one that may be negative."""
    return axis + max(rank, 1) if axis < 0 else axis


@dataclass(frozen=True)
class Missing:
    """A value of the program that is not computed, and its name for errors."""

    reason: str


class Context:
    """What a converter works with: the node's stated result, and the module that is being built.

    Attributes
    ----------
    builder : BlockBuilder
    dtype, shape
        The dtype and shape of the node's result, as torch states them; empty for several results.
        If the result is complex, the dtype of its parts.
    fakes : dict of str to torch's fake tensors and scalars
        The node's arguments as torch represents them.
    """

    def __init__(self, builder: relax.BlockBuilder, sizes: Sizes, node: fx.Node) -> None:
        self.builder, self.sizes, self.node = builder, sizes, node
        self.fakes: dict[str, Any] = {}
        self.result: Any = node.meta.get("val")
        self.dtype, self.shape = "", list[Any]()
        if isinstance(self.result, torch.Tensor):
            self.dtype = dtype_name(real_dtype(self.result.dtype))
            self.shape = sizes.shape(self.result.shape)

    def emit(self, expression: relax.Expr) -> relax.Var:
        return self.builder.emit(expression)

    def kernel(
        self,
        name: str,
        compute: Callable[..., te.Tensor],
        *inputs: Any,
        attributes: Mapping[str, Any] | None = None,
    ) -> relax.Var:
        """Emit a kernel from a tensor expression.

        Parameters
        ----------
        name : str
            The kernel's name.
        compute : callable
            The tensor expression of the inputs.
        *inputs
            Tensors and sizes.
        attributes : mapping, optional
            Attributes of the kernel's PrimFunc.
        """
        given = {"primfunc_name_hint": name, "primfunc_attrs": attributes}
        return self.builder.emit_te(compute, *inputs, **given)

    def hold(self, x: relax.Expr, within: Sequence[Pair], problem: str) -> relax.Expr:
        """The tensor, made to depend on a check: in no pair may the first size exceed the second.

        Parameters
        ----------
        x : Expr
        within : sequence of pairs
        problem : str
            The error message if the check fails.
        """
        analyzer = tvm.sym.Analyzer()
        zero = tirx.const(0, "int64")
        unsure = [(a, b) for a, b in within if not analyzer.can_prove(zero + a <= b)]
        return held(self.builder, x, [Need(unsure, self.user, problem)])

    def fit(self, x: relax.Expr, shape: list[Any]) -> relax.Expr:
        """The tensor with these sizes, which torch states where TVM cannot prove them.

        Raises
        ------
        QuakeError
            For sizes that never are those of the tensor.
        """
        apart = [(a, b) for a, b in zip(dims(x), shape, strict=True) if not same_size(a, b)]
        if not apart:
            return x
        within = [pair for a, b in apart for pair in equal(a, b)]
        shown = " x ".join(map(str, shape)), " x ".join(map(str, dims(x)))
        checked = self.hold(x, within, f"torch states a size of {shown[0]}, TVM {shown[1]}")
        return self.emit(fitted(checked, list(relax.ShapeExpr(shape).values)))

    @property
    def user(self) -> str:
        """The operator's name for run-time errors, as users know it."""
        return "torch." + str(self.node.target).split(".")[1]

    def refuse(self, what: str) -> QuakeError:
        """The error for a use of the operator that cannot be compiled."""
        return QuakeError(f"torch operator {self.node.target} {what} cannot be compiled")

    def in_training(self) -> QuakeError:
        """The error for an operator whose result in training differs."""
        return QuakeError(
            f"torch operator {self.node.target} is in training mode: export the module after "
            "module.eval()"
        )

    def tensor(self, value: Any, dtype: str) -> relax.Expr:
        """A tensor, a number or a size as a tensor of the dtype."""
        if isinstance(value, int) and "int" in dtype:  # a number that is too large wraps around
            return relax.const(np.asarray(value).astype(dtype), dtype)
        if isinstance(value, bool | int | float):
            return relax.const(value, dtype)
        if isinstance(getattr(value, "ty", None), relax.TensorType):
            return self.cast(value, dtype)
        if tvm.ir.is_prim_expr(value):
            if is_float(str(value.ty.dtype)):
                return self._number(value, dtype)
            if str(value.ty.dtype) == "bool":
                value = tirx.Select(value, tirx.const(1, "int64"), tirx.const(0, "int64"))
            size = self.emit(relax.op.shape_to_tensor(relax.ShapeExpr([value])))
            return self.cast(self.emit(relax.op.squeeze(size, axis=[0])), dtype)
        raise self.refuse(f"with a {type(value).__name__}")

    def _number(self, value: Any, dtype: str) -> relax.Expr:
        """A number that is computed from sizes in float64 as a tensor."""
        used = list(self.sizes.variables.values())

        def number(sizes: list[Any]) -> te.Tensor:
            own = value
            for outer, inner in zip(used, sizes, strict=True):
                own = replace_variable(own, outer, inner)
            return te.compute([], lambda: own.astype(dtype), name="number")

        return self.kernel("number", number, used)

    def cast(self, x: relax.Expr, dtype: str) -> relax.Expr:
        if dtype_of(x) == dtype:
            return x
        if dtype == "bool":  # by comparisons that are right for NaN too
            zero = self.emit(relax.op.equal(x, relax.const(0, dtype_of(x))))
            zero = self.emit(relax.op.astype(zero, "int8"))
            return self.emit(relax.op.equal(zero, relax.const(0, "int8")))
        return self.emit(relax.op.astype(x, dtype))

    def common_dtype(self, *names: str, kind: Any = DEFAULT) -> str:
        """The dtype in which torch combines the arguments, before halves are widened."""
        fakes = [self.fakes[name] for name in names]
        return dtype_name(real_dtype(elementwise_dtypes(*fakes, type_promotion_kind=kind)[1]))

    def full(self, shape: list[Any], value: bool | int | float, dtype: str) -> relax.Expr:
        """A tensor of one value. TVM's own operator fails for infinity and NaN.

        Parameters
        ----------
        shape : list
            ints, or expressions where sizes are dynamic.
        value : bool, int or float
        dtype : str
        """
        constant = relax.const(value, dtype)
        if isinstance(value, float) and not math.isfinite(value):
            return self.emit(relax.op.broadcast_to(constant, relax.ShapeExpr(shape)))
        return self.emit(relax.op.full(relax.ShapeExpr(shape), constant, dtype))

    def widened(self, x: relax.Expr) -> relax.Expr:
        """Half-precision values as float32, in which torch accumulates them."""
        return self.cast(x, "float32") if dtype_of(x) in HALF else x

    def narrowed(self, x: relax.Expr) -> relax.Expr:
        """A result in the dtype that torch states."""
        return self.cast(x, self.dtype)


def arguments(context: Context, values: Callable[[Any], Any]) -> dict[str, Any]:
    """The converter's arguments from a node: the node's values, or the operator's defaults.

    All arguments, if the operator has no converter of real tensors.

    Raises
    ------
    QuakeError
        For an argument that the converter does not take and that differs from its default.
    """
    node = context.node
    target: Any = node.target
    _, wanted = CONVERTERS.get(str(target), (None, None))
    positional = list(node.args)
    bound = {}
    for argument in target._schema.arguments:
        default = argument.default_value if argument.has_default_value() else None
        if positional and not argument.kwarg_only:
            raw = positional.pop(0)
        else:
            raw = node.kwargs.get(argument.name, default)
        if wanted is None or argument.name in wanted:
            bound[argument.name] = values(raw)
            context.fakes[argument.name] = fx.node.map_arg(raw, lambda n: n.meta["val"])
        elif argument.name in _PLACE:
            if not _PLACE[argument.name](raw):
                raise context.refuse(f"with {argument.name}={raw}")
        elif raw != default:
            raise context.refuse(f"with {argument.name}={raw}")
    return bound
