"""The operators ``quake.<name>`` in Relay. Recognisers write them and the lowering reads them.

There is one operator for each row of the registry. It has a type relation, shape function, fusion
pattern and layout rule, so that TVM's own passes treat it like ``nn.softmax`` and ``sigmoid``. The
attributes are those of :mod:`passes.relax.ops`. :mod:`lower` computes and schedules the operators.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import tvm
from tvm import relay, tir
from tvm.relay.op import op as registry
from tvm.relay.op.op import OpPattern
from tvm.te import hybrid

from quake_tvm.errors import QuakeError
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.tvm_version import make_attrs, register_op

from ..site_attrs import SiteAttrs
from .graph import mark_by_element, op_name

PREFIX = "quake."
# Element-wise operators take any layout, as TVM's own do.
_LAYOUT, _ANY = "FInferCorrectLayout", "sigmoid"


TypeOf = Callable[[list[relay.Type], tvm.ir.Attrs], relay.Type | None]


def _checked(infer: TypeOf, elementwise: bool) -> TypeOf:
    """The type inference ``infer``, with checks that run when all types are known.

    All operands must be float32 tensors, and the axis must be one of x's. TVM infers a type a
    hundred times in a build, and attributes are slow to read.
    """

    def checked(types: tvm.ir.Array, attrs: tvm.ir.Attrs) -> relay.Type | None:
        known = list(types)  # once, since it goes through ctypes
        if any(isinstance(t, relay.IncompleteType) for t in known):
            return None
        for t in known:
            if not isinstance(t, relay.TensorType) or t.dtype != "float32":
                raise QuakeError(f"quake operators take float32 tensors, not {t}")
        if elementwise or "axis" not in read(attrs):
            return infer(known, attrs)
        if not 0 <= int(attrs["axis"]) < len(known[0].shape):
            raise QuakeError(f"axis {attrs['axis']} is none of {len(known[0].shape)} dimensions")
        return infer(known, attrs)

    return checked


def _same_type(types: list[relay.Type], _: tvm.ir.Attrs) -> relay.Type:
    return types[0]


def _masked_type(types: list[relay.Type], _: tvm.ir.Attrs) -> relay.Type:
    """The type of x. The mask must broadcast to it."""
    x, *masks = types
    for mask in masks:
        ends = zip(reversed(mask.shape), reversed(x.shape), strict=False)
        fixed = [(m, n) for m, n in ends if {type(m), type(n)} == {tir.IntImm}]
        if len(mask.shape) > len(x.shape) or any(m not in (1, int(n)) for m, n in fixed):
            raise QuakeError(f"a mask of {mask} does not broadcast to {x}")
    return x


def _reduced_type(types: list[relay.Type], attrs: tvm.ir.Attrs) -> relay.Type:
    (x,) = types
    shape, axis = list(x.shape), int(attrs["axis"])
    rest = [1] if int(attrs["keepdims"]) else []
    return relay.TensorType(shape[:axis] + rest + shape[axis + 1 :], x.dtype)


def _same_shape(attrs: tvm.ir.Attrs, inputs: list[tvm.te.Tensor], _: list) -> list[tvm.te.Tensor]:
    return [tvm.topi.identity(inputs[0])]


@hybrid.script
def _reduced_shape(shape, axis, rank):  # type: ignore[no-untyped-def]  # TVM parses it
    out = output_tensor((rank,), "int64")  # noqa: F821
    for k in const_range(rank):  # noqa: F821
        if rank == shape.shape[0]:
            out[k] = shape[k] if k != axis else int64(1)  # noqa: F821
        elif k < axis:
            out[k] = shape[k]
        else:
            out[k] = shape[k + 1]
    return out


def _shape_of_reduced(
    attrs: tvm.ir.Attrs, inputs: list[tvm.te.Tensor], ranks: list
) -> list[tvm.te.Tensor]:
    axis = tvm.runtime.convert(int(attrs["axis"]))
    return [_reduced_shape(inputs[0], axis, tvm.runtime.convert(int(ranks[0])))]


@cache
def declared(operator: str) -> tvm.ir.Op:
    """TVM's operator for a row of the registry, registered at the first call."""
    name, row = PREFIX + operator, OPERATORS[operator]
    if name in tvm.ir.Op.list_op_names():
        return tvm.ir.Op.get(name)
    op = register_op(name, row.formula)
    masked = "mask" in row.absorbs
    if not masked:
        op.set_num_inputs(1)
    infer = _reduced_type if row.reduces else _masked_type if masked else _same_type
    op.add_type_rel("Quake" + operator.title(), _checked(infer, row.elementwise))
    shape = _shape_of_reduced if row.reduces else _same_shape
    registry.register_shape_func(name, False, shape)
    registry.register_stateful(name, False)
    registry.register_pattern(name, OpPattern.ELEMWISE if row.elementwise else OpPattern.OPAQUE)
    if row.elementwise:
        mark_by_element(name)
        tvm.ir.register_op_attr(name, _LAYOUT, tvm.ir.Op.get(_ANY).get_attr(_LAYOUT))
    return tvm.ir.Op.get(name)


for _name in OPERATORS:  # operators that users register later are declared at their first call
    declared(_name)


def call(operator: str, *args: relay.Expr, **attributes: Any) -> relay.Call:
    """A call of ``quake.<operator>``."""
    return relay.Call(declared(operator), list(args), make_attrs(**attributes))


def attributes_of(call: relay.Call) -> SiteAttrs:
    """The attributes of a call of a ``quake`` operator."""
    return SiteAttrs.from_attrs(read(call.attrs))


def read(attrs: tvm.ir.Attrs) -> dict[str, Any]:
    """Attributes as Python values."""
    return {str(key): _plain(attrs[key]) for key in list(attrs.keys())}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, tir.IntImm | tir.FloatImm) else str(value)


def operator_of(expr: Any) -> str | None:
    """The name in the registry if ``expr`` calls a ``quake`` operator, else None."""
    name = op_name(expr)
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None
