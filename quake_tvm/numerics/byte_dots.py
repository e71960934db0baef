"""Dot products of groups of small integers, added to int32: ``vpdpbusd``, ``sdot`` and their like.

A group is an int32 with four bytes or two 16-bit integers in it, the first one in the low bits.
``dot(c, a, b)`` is c plus the products of the elements of a with those of b. All sums are exact, so
a product of matrices has the same numbers in every format, and a target has the format of its
fastest instruction. The operators are replaced in front of TVM's code generator, where vectors are
known. Knows no operator of the registry and no schedule.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tvm

from ..tvm_version import (
    PREFIX,
    Call,
    Expr,
    dtype_of,
    import_llvm,
    register_op,
    replace_build,
    replace_calls,
    tir,
    updated,
)

# The depth of a product of bytes up to which no sum can leave int32.
DEEPEST = (2**31 - 1) // (255 * 128)
_PURE = 1  # TVM's CallEffectKind.Pure

_START = """
define internal {sums} @{name}({sums} %c, {sums} %a, {sums} %b) alwaysinline {{
  %x = bitcast {sums} %a to {elements}
  %y = bitcast {sums} %b to {elements}
"""
_END = """
  ret {sums} %r
}}
"""


def _indices(first: int) -> str:
    """Eight consecutive elements of a vector."""
    return f"<{', '.join(f'i32 {first + k}' for k in range(8))}>"


# An instruction that adds the products of four bytes to c.
_ADDING = f"""
declare {{sums}} @{{intrinsic}}({{sums}}, {{elements}}, {{elements}})
{_START}
  %r = call {{sums}} @{{intrinsic}}({{sums}} %c, {{elements}} %x, {{elements}} %y)
{_END}"""
# An instruction that gives the sum of two products.
_OF_PAIRS = f"""
declare {{sums}} @{{intrinsic}}({{elements}}, {{elements}})
{_START}
  %p = call {{sums}} @{{intrinsic}}({{elements}} %x, {{elements}} %y)
  %r = add {{sums}} %p, %c
{_END}"""
# An instruction that multiplies 16-bit integers. LLVM makes it add to c, and separates the even
# elements of a vector from the odd ones only once.
_LONG = f"""
declare {{sums}} @{{intrinsic}}(<4 x i16>, <4 x i16>)
{_START}
  %xe = shufflevector {{elements}} %x, {{elements}} poison, <4 x i32> <i32 0, i32 2, i32 4, i32 6>
  %ye = shufflevector {{elements}} %y, {{elements}} poison, <4 x i32> <i32 0, i32 2, i32 4, i32 6>
  %xo = shufflevector {{elements}} %x, {{elements}} poison, <4 x i32> <i32 1, i32 3, i32 5, i32 7>
  %yo = shufflevector {{elements}} %y, {{elements}} poison, <4 x i32> <i32 1, i32 3, i32 5, i32 7>
  %pe = call {{sums}} @{{intrinsic}}(<4 x i16> %xe, <4 x i16> %ye)
  %po = call {{sums}} @{{intrinsic}}(<4 x i16> %xo, <4 x i16> %yo)
  %s = add {{sums}} %pe, %c
  %r = add {{sums}} %po, %s
{_END}"""
# Instructions for bytes without a dot product: products, sums of two in 16 bits, and sums of those.
_PAIRWISE = f"""
declare <8 x i16> @{{intrinsic}}(<8 x i8>, <8 x i8>)
declare <8 x i16> @llvm.aarch64.neon.addp.v8i16(<8 x i16>, <8 x i16>)
declare {{sums}} @llvm.aarch64.neon.saddlp.v4i32.v8i16(<8 x i16>)
{_START}
  %xl = shufflevector {{elements}} %x, {{elements}} poison, <8 x i32> {_indices(0)}
  %xh = shufflevector {{elements}} %x, {{elements}} poison, <8 x i32> {_indices(8)}
  %yl = shufflevector {{elements}} %y, {{elements}} poison, <8 x i32> {_indices(0)}
  %yh = shufflevector {{elements}} %y, {{elements}} poison, <8 x i32> {_indices(8)}
  %pl = call <8 x i16> @{{intrinsic}}(<8 x i8> %xl, <8 x i8> %yl)
  %ph = call <8 x i16> @{{intrinsic}}(<8 x i8> %xh, <8 x i8> %yh)
  %p = call <8 x i16> @llvm.aarch64.neon.addp.v8i16(<8 x i16> %pl, <8 x i16> %ph)
  %s = call {{sums}} @llvm.aarch64.neon.saddlp.v4i32.v8i16(<8 x i16> %p)
  %r = add {{sums}} %s, %c
{_END}"""


@dataclass(frozen=True)
class Instruction:
    """An instruction for vectors of groups.

    Attributes
    ----------
    feature : str
        The LLVM feature that it needs.
    lanes : int
        Groups in a vector.
    intrinsic : str
        Its name in LLVM.
    code : str
        The LLVM IR around it.
    """

    feature: str
    lanes: int
    intrinsic: str
    code: str = _ADDING


@dataclass(frozen=True)
class Format:
    """The elements of groups.

    Attributes
    ----------
    name : str
    left, right : str
        Dtypes of the elements of a and of b.
    instructions : tuple of Instruction
        The first one for a target and a number of lanes is taken.
    smallest : int
        The least element of b.
    """

    name: str
    left: str
    right: str
    instructions: tuple[Instruction, ...]
    smallest: int = -128

    @property
    def bits(self) -> int:
        """The size of an element."""
        return int(np.dtype(self.left).itemsize) * 8

    @property
    def group(self) -> int:
        """The number of elements in a group."""
        return 32 // self.bits

    @property
    def adds_groups(self) -> bool:
        """Whether its instructions add the products of four bytes at once."""
        return any(instruction.code is _ADDING for instruction in self.instructions)

    @property
    def least(self) -> int:
        """The element that stands for the smallest byte: of 256 numbers, the first."""
        return -128 if self.left == "int8" else 0

    @property
    def operator(self) -> str:
        """The name of the operator."""
        return f"{PREFIX}quake_dot_{self.name}"

    def dot(self, c: Expr, a: Expr, b: Expr) -> Expr:
        """c plus the dot product of the groups a and b. All are int32."""
        return tir.call_intrin(dtype_of(c), self.operator, c, a, b)

    def instruction(self, lanes: int, target: tvm.target.Target) -> Instruction | None:
        """The target's instruction for vectors of this many groups."""
        return next((i for i in _available(self, target) if i.lanes == lanes), None)

    def shift(self, dtype: str) -> int:
        """What is added to an int8 or uint8 number to make it an element of the left operand."""
        if self.bits > 8 or dtype == self.left:
            return 0
        return 128 if dtype == "int8" else -128

    def group_of(self, element: int) -> int:
        """The group, as an int32 number, whose elements are all equal to this."""
        return int(np.full(self.group, element, self.left).view("<i4")[0])

    def grouped_rows(self, values: np.ndarray) -> np.ndarray:
        """Groups of neighbouring rows of a right operand.

        Parameters
        ----------
        values : np.ndarray
            int8, of shape (k, ..).

        Returns
        -------
        np.ndarray
            int32, of shape (k/group, ..), rounded up. Missing rows are zeros.
        """
        rows = -len(values) % self.group
        padded = np.concatenate([values, np.zeros((rows, *values.shape[1:]), values.dtype)])
        split = padded.astype(self.right).reshape(-1, self.group, *values.shape[1:])
        return np.ascontiguousarray(np.moveaxis(split, 1, -1)).view("<i4")[..., 0]


_X86, _ARM = "llvm.x86.", "llvm.aarch64.neon."
# Best first. The last one serves every target.
FORMATS = (
    Format(
        "unsigned",
        "uint8",
        "int8",
        (
            Instruction("avx512vnni", 16, _X86 + "avx512.vpdpbusd.512"),
            Instruction("avx512vnni", 8, _X86 + "avx512.vpdpbusd.256"),
            Instruction("avx512vnni", 4, _X86 + "avx512.vpdpbusd.128"),
            Instruction("avxvnni", 8, _X86 + "avx512.vpdpbusd.256"),
            Instruction("avxvnni", 4, _X86 + "avx512.vpdpbusd.128"),
            Instruction("i8mm", 4, _ARM + "usdot.v4i32.v16i8"),
        ),
    ),
    Format("signed", "int8", "int8", (Instruction("dotprod", 4, _ARM + "sdot.v4i32.v16i8"),)),
    Format(
        "pairwise",
        "int8",
        "int8",
        (Instruction("fp-armv8", 4, _ARM + "smull.v8i16", _PAIRWISE),),
        smallest=-127,  # so that no sum of two products leaves 16 bits
    ),
    Format(
        "wide",
        "int16",
        "int16",
        (
            Instruction("avx512bw", 16, _X86 + "avx512.pmaddw.d.512", _OF_PAIRS),
            Instruction("avx2", 8, _X86 + "avx2.pmadd.wd", _OF_PAIRS),
            Instruction("sse2", 4, _X86 + "sse2.pmadd.wd", _OF_PAIRS),
            Instruction("fp-armv8", 4, _ARM + "smull.v4i32", _LONG),
        ),
    ),
)
_OPERATORS = {form.operator: form for form in FORMATS}
for _operator in _OPERATORS:
    register_op(_operator, "c plus the dot product of the groups a and b")
    tvm.ir.register_op_attr(_operator, "TVectorizable", True)
    tvm.ir.register_op_attr(_operator, "TCallEffectKind", _PURE)
    tvm.ir.register_op_attr(_operator, "TScriptPrinterName", _operator.removeprefix(PREFIX))


def formats_of(target: tvm.target.Target) -> tuple[Format, ...]:
    """The formats for which the target has instructions, the fastest first, and one for all else.

    The last one takes all bytes.
    """
    return (*(form for form in FORMATS[:-1] if any(_available(form, target))), FORMATS[-1])


def fitting(forms: Sequence[Format], right: np.ndarray) -> Format:
    """The first format that takes these bytes as the right operand."""
    return next(form for form in forms if right.min(initial=0) >= form.smallest)


def _available(form: Format, target: tvm.target.Target) -> Iterator[Instruction]:
    has = tvm.target.codegen.target_has_features
    if has("vfp4", target):  # 32-bit ARM, for which LLVM has other intrinsics
        return
    for instruction in form.instructions:
        if has(instruction.feature, target):
            yield instruction


def format_of_call(expr: Expr) -> Format | None:
    """The format of a call of :meth:`Format.dot`. None for other expressions."""
    known = isinstance(expr, Call) and isinstance(expr.op, tvm.ir.Op)
    return _OPERATORS.get(expr.op.name) if known else None


def _spelled_out(form: Format, c: Expr, a: Expr, b: Expr) -> Expr:
    dtype, top = dtype_of(c), 32 - form.bits

    def element(group: Expr, number: int, kind: str) -> Expr:
        high = group << tir.const(top - number * form.bits, dtype)
        if kind.startswith("u"):
            return (group >> tir.const(number * form.bits, dtype)) & tir.const(255, dtype)
        return high >> tir.const(top, dtype)

    for number in range(form.group):
        c = c + element(a, number, form.left) * element(b, number, form.right)
    return c


def _name(form: Format, lanes: int) -> str:
    return f"quake_dot_{form.name}_{lanes}"


def _source(form: Format, instruction: Instruction) -> str:
    lanes = instruction.lanes
    return instruction.code.format(
        name=_name(form, lanes),
        intrinsic=instruction.intrinsic,
        sums=f"<{lanes} x i32>",
        elements=f"<{lanes * form.group} x i{form.bits}>",
    )


def _prepare(mod: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Replace the dot products of a lowered module by instructions, or spell them out."""
    sources: dict[str, str] = {}
    found: set[Format] = set()

    def replace(call: Call) -> Expr:
        form = format_of_call(call)
        if form is None:
            return call
        found.add(form)
        lanes = tvm.DataType(dtype_of(call)).lanes
        instruction = form.instruction(lanes, target)
        if instruction is None:
            return _spelled_out(form, *call.args)
        sources[_name(form, lanes)] = _source(form, instruction)
        return tir.call_pure_extern(dtype_of(call), _name(form, lanes), *call.args)

    functions = {
        name: function.with_body(replace_calls(function.body, replace))
        for name, function in mod.functions.items()
        if isinstance(function, tir.PrimFunc)
    }
    if not found:
        return mod
    if sources:  # the import applies to the whole module
        first = next(iter(functions))
        source = "".join(sources[name] for name in sorted(sources))
        functions[first] = functions[first].with_body(import_llvm(source, functions[first].body))
    return updated(mod, functions)


replace_build("llvm", _prepare)
