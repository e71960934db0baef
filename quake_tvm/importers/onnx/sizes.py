"""Small tensors that are computed from extents alone, and the nodes that compute them.

Exporters write sizes as subgraphs of Shape, Gather, Concat and similar nodes. Where extents vary,
the elements of these tensors are expressions over extents. Knows no node of Relax.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from math import prod

import numpy as np
import onnx
import tvm
from onnx import helper

from . import elements
from .elements import Element, varies
from .evaluate import evaluate
from .extents import Extent, Extents

# The most elements of a tensor of numbers, and of one that is computed from extents that vary.
MOST = 1024
_MOST_VARYING = 64


@dataclass(frozen=True)
class Numbers:
    """A tensor whose elements are known.

    Attributes
    ----------
    elements : numpy.ndarray of Element
    dtype : numpy.dtype
        The type that the tensor has in the model.
    """

    elements: np.ndarray
    dtype: np.dtype

    @classmethod
    def of(cls, array: np.ndarray) -> "Numbers":
        """Constants."""
        return cls(_array(array.reshape(-1).tolist(), array.shape), array.dtype)

    @classmethod
    def of_list(cls, values: Sequence[Extent]) -> "Numbers":
        """Sizes."""
        return cls(_array(values, (len(values),)), np.dtype(np.int64))

    def constant(self) -> np.ndarray | None:
        """The tensor, if no element varies with the extents."""
        if any(varies(e) for e in self.elements.flat):
            return None
        return np.array(self.elements.tolist(), self.dtype).reshape(self.elements.shape)

    def are_sizes(self) -> bool:
        """Whether these are integers of which some vary with the extents."""
        return self.dtype.kind == "i" and any(varies(e) for e in self.elements.flat)


def _array(values: Iterable[Element], shape: Sequence[int]) -> np.ndarray:
    """Elements as an array. NumPy itself would look for dimensions in an element."""
    result = np.empty(prod(shape), object)
    for k, value in enumerate(values):
        result[k] = value
    return result.reshape(shape)


def of_constant(value: tvm.ir.GenericConst) -> Numbers | None:
    """The elements of a constant, if they are few."""
    if prod(int(n) for n in value.ty.shape) > MOST or str(value.ty.dtype) not in _KNOWN:
        return None
    return Numbers.of(value.value.numpy())


Outputs = list[Numbers]
_KNOWN = ("bool", "int32", "int64", "float32", "float64")

# The operators that only move elements, with the inputs that hold them; None for all.
_MOVED: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(("Compress", "Expand", "Flatten", "Gather", "GatherElements"), (0,)),
    **dict.fromkeys(("GatherND", "Identity", "Reshape", "Slice", "Split", "Squeeze"), (0,)),
    **dict.fromkeys(("Tile", "Transpose", "Unsqueeze"), (0,)),
    **dict.fromkeys(("ScatterElements", "ScatterND"), (0, 2)),
    "Concat": None,
}
_REDUCED = {"ReduceProd": "Mul", "ReduceSum": "Add", "ReduceMin": "Min", "ReduceMax": "Max"}


def computed(
    node: onnx.NodeProto,
    given: Sequence[Numbers | None],
    opsets: Sequence[onnx.OperatorSetIdProto],
    extents: Extents,
) -> Outputs | None:
    """The outputs of a node whose inputs are known; None for what must be computed at run time.

    Parameters
    ----------
    node : onnx.NodeProto
    given : sequence of Numbers or None
        The inputs; None for one that is left out.
    opsets : sequence of OperatorSetIdProto
        The model's.
    extents : Extents
        May get conditions under which the result holds.
    """
    name = node.op_type
    if node.domain or not (name in _OTHERS or name in _MOVED or name in elements.OPERATORS):
        return None
    constants = [None if g is None else g.constant() for g in given]
    present = [g for g in given if g is not None]  # operators in _MOVED alone omit one in between
    if all(c is not None or g is None for c, g in zip(constants, given, strict=True)):
        outputs = _evaluated(node, constants, opsets)
    elif name in _MOVED:
        outputs = _moved(node, given, opsets)
    elif name in elements.OPERATORS:
        outputs = _element_wise(node, present, extents)
    else:
        outputs = _OTHERS[name](node, present, extents)
    if outputs is None or any(_too_large(o) for o in outputs):
        return None
    return outputs


def shape(node: onnx.NodeProto, extents: Sequence[Extent]) -> Numbers:
    """The output of Shape or Size for a tensor of these extents."""
    if node.op_type == "Size":
        return Numbers(_array([prod(extents)], ()), np.dtype(np.int64))
    options = _attributes(node)
    return Numbers.of_list(list(extents)[options.get("start", 0) : options.get("end")])


def _too_large(value: Numbers) -> bool:
    size = value.elements.size
    return size > MOST or (size > _MOST_VARYING and any(varies(e) for e in value.elements.flat))


def _attributes(node: onnx.NodeProto) -> dict:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _evaluated(
    node: onnx.NodeProto,
    values: Sequence[np.ndarray | None],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> Outputs | None:
    """The node on constants, as ONNX's own evaluator computes it."""
    known = {name: v for name, v in zip(node.input, values, strict=True) if v is not None}
    found = evaluate(node, known, opsets)
    return None if found is None else [Numbers.of(found[name]) for name in node.output if name]


def _moved(
    node: onnx.NodeProto,
    given: Sequence[Numbers | None],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> Outputs | None:
    """The node on the elements' places, which tell where each element of the result comes from."""
    if _attributes(node).get("reduction", b"none") != b"none":
        return None
    holders = _MOVED[node.op_type]
    pool: list[Element] = []
    places: list[np.ndarray | None] = []
    dtype = next(g.dtype for g in given if g is not None)
    for k, value in enumerate(given):
        if value is None:
            places.append(None)
            continue
        if holders is not None and k not in holders:
            constant = value.constant()
            if constant is None:
                return None
            places.append(constant)
            continue
        size = value.elements.size
        places.append(np.arange(len(pool), len(pool) + size).reshape(value.elements.shape))
        pool += value.elements.flat
    found = _evaluated(node, places, opsets)
    if found is None:
        return None
    return [
        Numbers(_array([pool[k] for k in f.elements.flat], f.elements.shape), dtype) for f in found
    ]


def _element_wise(
    node: onnx.NodeProto, given: Sequence[Numbers], extents: Extents
) -> Outputs | None:
    name = node.op_type

    def operator(*values: Element) -> Element | None:
        if name in ("Max", "Min"):  # of any number of operands
            return _reduced(name, values, extents)
        return elements.OPERATORS[name](extents, *values)

    dtype = np.dtype(bool) if name in _CONDITIONS else given[-1].dtype
    return _each(operator, given, dtype)


def _each(
    operator: Callable[..., Element | None], given: Sequence[Numbers], dtype: np.dtype
) -> Outputs | None:
    """A function of the elements at each place."""
    try:
        operands = np.broadcast_arrays(*(g.elements for g in given))
    except ValueError:
        return None
    result = np.empty(operands[0].shape, object)
    for at in np.ndindex(result.shape):
        result[at] = operator(*(o[at] for o in operands))
        if result[at] is None:
            return None
    return [Numbers(result, dtype)]


_CONDITIONS = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Not"}


def _reduced(name: str, values: Sequence[Element], extents: Extents) -> Element | None:
    def step(a: Element | None, b: Element) -> Element | None:
        return None if a is None else elements.OPERATORS[name](extents, a, b)

    return reduce(step, values[1:], values[0])


def _reduction(node: onnx.NodeProto, given: Sequence[Numbers], extents: Extents) -> Outputs | None:
    data, axes = given[0], given[1] if len(given) > 1 else None
    options = _attributes(node)
    rank = data.elements.ndim
    chosen = [] if axes is None else [int(a) % rank for a in axes.elements.flat]
    if not chosen:
        if options.get("noop_with_empty_axes", 0):
            return [data]
        chosen = list(range(rank))
    kept = [d for d in range(rank) if d not in chosen]
    lengths = [data.elements.shape[d] for d in kept]
    rows = data.elements.transpose(*kept, *chosen).reshape(prod(lengths), -1)
    if rows.shape[1] == 0:
        return None
    result = np.empty(len(rows), object)
    for k, row in enumerate(rows):
        result[k] = _reduced(_REDUCED[node.op_type], list(row), extents)
        if result[k] is None:
            return None
    if options.get("keepdims", 1):
        lengths = [1 if d in chosen else n for d, n in enumerate(data.elements.shape)]
    return [Numbers(result.reshape(lengths), data.dtype)]


def _cast(node: onnx.NodeProto, given: Sequence[Numbers], extents: Extents) -> Outputs | None:
    target = helper.tensor_dtype_to_np_dtype(_attributes(node)["to"])
    if target not in _EXACT:
        return None
    return _each(lambda e: elements.cast(extents, e, target.kind), given, target)


# The types that hold all numbers that a quotient's numerator may be.
_EXACT = [np.dtype(t) for t in _KNOWN]


def _modulo(node: onnx.NodeProto, given: Sequence[Numbers], extents: Extents) -> Outputs | None:
    like_c = bool(_attributes(node).get("fmod", 0))
    operator = partial(elements.modulo, extents, like_c=like_c)
    return _each(operator, given, given[0].dtype)


def _range(node: onnx.NodeProto, given: Sequence[Numbers], extents: Extents) -> Outputs | None:
    """Range of a length that does not vary, as from n to n + 4."""
    start, end, step = (g.elements.item() for g in given)
    whole = not any(isinstance(e, float | elements.Quotient) for e in (start, end, step))
    if not whole or not isinstance(step, int) or not step:
        return None
    length = extents.count(start, end, step)
    if not isinstance(length, int) or length > _MOST_VARYING:
        return None
    values = [extents.simplify(start + k * step) for k in range(length)]
    return [Numbers(Numbers.of_list(values).elements, given[0].dtype)]


_OTHERS: dict[str, Callable[..., Outputs | None]] = {
    **dict.fromkeys(_REDUCED, _reduction),
    "Cast": _cast,
    "ConstantOfShape": lambda *_: None,
    "Mod": _modulo,
    "Range": _range,
}
