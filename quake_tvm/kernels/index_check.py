"""The operator ``quake_tvm.index``: an index tensor, checked against the extents that it indexes.

Its value is the indices as a gather or a scatter reads them: counted from the front, and within the
extents. An index outside ends the run with an error, so that no data makes a program access memory
outside its tensors. Constant indices are checked against constant extents at compile time. Knows no
operator that uses indices.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
import tvm
from tvm import relax, te, tirx

from ..errors import QuakeError
from ..tvm_version import make_attrs, register_op

NAME = "quake_tvm.index"
# Attribute of a PrimFunc: every index that the function reads has passed this operator.
CHECKED = "quake.indices_checked"
Size: TypeAlias = int | tirx.Expr


class Places(Enum):
    """Which indices are allowed along an axis of n elements, and what they mean."""

    FRONT = "front"  # 0 to n - 1
    ENDS = "ends"  # -n to n - 1, negative ones counted from the back
    NEAREST = "nearest"  # any; clamped to the nearest element
    AROUND = "around"  # any, modulo n


def checked(
    index: relax.Expr,
    extents: Sequence[Size],
    places: Places,
    user: str,
    within: Sequence[tuple[Size, Size]] = (),
    problem: str = "",
) -> relax.Expr:
    """The indices, checked against the extents.

    Parameters
    ----------
    index : Expr
        A tensor of integers of known shape.
    extents : sequence of int or Expr
        One extent, of the axis that all indices refer to; or one for each number in the last
        dimension.
    places : Places
        Which indices are allowed.
    user : str
        The operator's name, for the error message.
    within : sequence of pairs of int or Expr
        In each pair the first size must not exceed the second, so that the operator stays inside
        its memory.
    problem : str, optional
        The error message, if the tensor holds no index in the user's sense.

    Returns
    -------
    Expr
        A call of ``quake_tvm.index``, or a constant if all is known at compile time.

    Raises
    ------
    QuakeError
        For a constant index outside of constant extents, and for constant sizes that do not fit.
    """
    open_ = []
    for small, large in within:
        least, most = _number(small), _number(large)
        if least is None or most is None:
            open_.append((small, large))
        elif least > most:
            raise QuakeError(f"{user}: a size of {small} where at most {large} fits")
    sizes = [n for n in map(_number, extents) if n is not None]
    if not open_ and len(sizes) == len(extents):
        if isinstance(index, tvm.ir.GenericConst):
            return _constant(index.value.numpy(), sizes, places, user, problem)
        if 0 in (_number(n) for n in index.ty.shape):
            return index
    attributes = make_attrs(places=places.value, user=user, source="", problem=problem)
    small, large = ([pair[k] for pair in open_] for k in (0, 1))
    shapes = [relax.ShapeExpr(list(s)) for s in (extents, small, large)]
    return relax.Call(tvm.ir.Op.get(NAME), [index, *shapes], attributes)


def _number(size: Size) -> int | None:
    """The size as an int, or None if it is unknown at compile time."""
    return int(size) if isinstance(size, int | tirx.IntImm) else None


def from_source(check: relax.Call, source: str) -> relax.Call:
    """The same check, with ``source`` in its error message as the origin of the indices."""
    attributes = {name: str(check.attrs[name]) for name in ("places", "user", "problem")}
    return relax.Call(check.op, check.args, make_attrs(**attributes, source=source))


def _range(extents: Sequence[Any], places: Places) -> str:
    """The allowed indices, as text for people."""
    low = "-{0}" if places is Places.ENDS else "0"
    return " x ".join(f"[{low}, {{0}})".format(getattr(n, "value", n)) for n in extents)


def _constant(
    index: np.ndarray, sizes: list[int], places: Places, user: str, problem: str
) -> relax.Expr:
    extents = np.array(sizes if len(sizes) > 1 else sizes[0], np.int64)
    wide = index.astype(np.int64)
    if places is Places.NEAREST:
        wide = np.minimum(np.maximum(wide, 0), extents - 1)
    elif places is Places.AROUND:
        wide = wide % np.maximum(extents, 1)
    elif places is Places.ENDS:
        wide = np.where(wide < 0, wide + extents, wide)
    outside = (wide < 0) | (wide >= extents)
    if outside.any():
        number = f"{index[outside][0]} is not in {_range(sizes, places)}"
        raise QuakeError(f"{user}: {problem or 'index out of range'}: {number}")
    dtype = _dtype(str(index.dtype))
    return relax.const(np.asarray(wide, dtype), dtype)


def _dtype(dtype: str) -> str:
    """The dtype of checked indices: int32 stays, every other dtype becomes int64."""
    return "int32" if dtype == "int32" else "int64"


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    index = call.args[0].ty
    return relax.TensorType(index.shape, _dtype(str(index.dtype)))


def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    index, *shapes = call.args
    places, user = Places(str(call.attrs["places"])), str(call.attrs["user"])
    extents, small, large = (list(s.values) for s in shapes)
    problem = str(call.attrs["problem"])
    source = str(call.attrs["source"]) or "an index tensor"
    if not problem:
        problem = f"index out of range: {source} holds one outside {_range(extents, places)}"
        problem += ", or sizes that do not fit" if len(small) else ""

    def check(index: te.Tensor, extents: list[Size], small: list[Size], large: list[Size]) -> Any:
        within = list(zip(small, large, strict=True))
        return _kernel(index, extents, within, places, f"{user}: {problem}")

    return builder.call_te(
        check,
        index,
        extents,
        small,
        large,
        primfunc_name_hint="check_index",
        primfunc_attrs={"op_pattern": 8, CHECKED: True, "tirx.is_scheduled": True},
    )


def _kernel(
    index: te.Tensor,
    extents: Sequence[Size],
    within: Sequence[tuple[Size, Size]],
    places: Places,
    message: str,
) -> te.Tensor:
    """The checked indices as a tensor expression.

    The loop only records whether an index is outside, so that it vectorizes. The error is raised
    after the loop.
    """
    dtype = _dtype(str(index.dtype))
    limits = [tirx.Cast(dtype, tirx.convert(n)) for n in extents]

    def body(source: tirx.Buffer, out: tirx.Buffer) -> tirx.Stmt:
        outside = tirx.decl_buffer([1], "int32", "outside")

        def note(bad: tirx.Expr) -> tirx.Stmt:
            return tirx.BufferStore(outside, outside[0] | tirx.Cast("int32", bad), [0])

        def one(limit: tirx.Expr, at: list[tirx.Expr]) -> tirx.Stmt:
            value = tirx.Cast(dtype, source[tuple(at)])
            zero = tirx.const(0, dtype)
            if places is Places.ENDS:
                value = tirx.Select(value < zero, value + limit, value)
            elif places is Places.NEAREST:
                value = tirx.max(tirx.min(value, limit - 1), zero)
            elif places is Places.AROUND:
                value = tirx.floormod(value, tirx.max(limit, tirx.const(1, dtype)))
            place = tirx.Var("place", dtype)
            bad = tirx.any(place < zero, place >= limit)
            return tirx.SeqStmt(
                [tirx.Bind(place, value), tirx.BufferStore(out, place, at), note(bad)]
            )

        each = len(limits) > 1
        loops = [tirx.Var(f"i{k}", "int64") for k in range(len(index.shape) - each)]
        steps = [one(n, [*loops, *([k] if each else [])]) for k, n in enumerate(limits)]
        step = steps[0] if len(steps) == 1 else tirx.SeqStmt(steps)
        for variable, size in reversed(list(zip(loops, index.shape, strict=False))):
            step = tirx.For(variable, 0, size, tirx.ForKind.SERIAL, step)
        fits = [note(small > large) for small, large in within]
        kind, text = tvm.ir.StringImm("IndexError"), tvm.ir.StringImm(message)
        refuse = tirx.AssertStmt(outside[0] == 0, kind, [text])
        start = tirx.BufferStore(outside, tirx.const(0, "int32"), [0])
        return tirx.SeqStmt([tirx.AllocBuffer(outside), start, *fits, step, refuse])

    return te.extern(
        [index.shape],
        [index],
        lambda ins, outs: body(ins[0], outs[0]),
        dtype=dtype,
        name="check_index",
    )


if NAME not in tvm.ir.Op.list_op_names():
    register_op(NAME, "Indices within the extents that they point into.")
    for _attribute, _value in (
        ("FInferType", _infer_type),
        ("FPurity", True),
        ("FLegalize", legalize),
    ):
        tvm.ir.register_op_attr(NAME, _attribute, _value)
