"""The description that a compiled model carries, and checks of call arguments against it.

The description is text inside the library. Knows no runtime: the model may be here or on a board.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import QuakeError
from ..report import Report
from .model_tensor import ModelTensor

# The virtual machine's function that returns the model's description.
DESCRIPTION = "quake_description"
# The attribute of an imported function: conditions on its symbolic sizes, as Python expressions.
CONDITIONS = "quake_conditions"
# The attribute of an imported function: the names of its outputs.
OUTPUTS = "quake_outputs"
# What an error about a list adds, which may have been meant for one input.
_LISTED = "; a list stands for all inputs, so put a list for one input into a list"
Inputs = Mapping[str, ArrayLike] | Sequence[ArrayLike] | ArrayLike
# The least size of a dimension, and the largest one; None if there is no largest.
Range = tuple[int, int | None]


class Described:
    """A model as its description gives it.

    Attributes
    ----------
    description : str
        The description as JSON.
    inputs, outputs : list of ModelTensor
    report : Report
        How every nonlinearity was lowered and every kernel scheduled.
    options : dict
        The target and the compile options.
    ranges : dict
        The name of a dynamic dimension to its least size and its largest one, or None if there is
        none. A name without an entry takes every size.
    sizes_depend_on_data : bool
        Whether there are tensors whose sizes do not follow from the sizes of the inputs.
    """

    def __init__(self, description: str) -> None:
        raw = json.loads(description)
        self.description = description
        self.inputs, self.outputs = (
            [ModelTensor(t["name"], tuple(t["shape"]), t["dtype"]) for t in raw.get(kind, ())]
            for kind in ("inputs", "outputs")
        )
        self.report = Report.from_json(json.dumps(raw["report"]))
        self.options = raw["options"]
        self.ranges: dict[str, Range] = {
            name: (least, most) for name, (least, most) in raw.get("ranges", {}).items()
        }
        self.sizes_depend_on_data: bool = raw.get("sizes_depend_on_data", False)
        self._dtypes = [np.dtype(i.dtype) for i in self.inputs]
        self._conditions: list[str] = raw.get("conditions", [])

    def _ordered(
        self, inputs: tuple[Inputs, ...], named: Mapping[str, ArrayLike] | None = None
    ) -> list[np.ndarray]:
        """A call's arrays, given by name or by position, in order. Raises QuakeError for others."""
        given: Sequence[object]
        listed = False
        if named:
            if inputs:
                raise QuakeError("give the inputs by position or by name, not both")
            given = self._by_name(named)
        elif len(inputs) == 1 and isinstance(inputs[0], Mapping):
            given = self._by_name(inputs[0])
        else:
            given = inputs
            if len(inputs) == 1 and isinstance(inputs[0], list | tuple):
                given = inputs[0]
                listed = not any(hasattr(g, "dtype") for g in given)
            if len(given) != len(self.inputs):
                names = ", ".join(i.name for i in self.inputs)
                counted = "input" if len(self.inputs) == 1 else "inputs"
                raise QuakeError(
                    f"the model takes {len(self.inputs)} {counted} ({names}), got {len(given)}"
                    f"{_LISTED if listed else ''}"
                )
        sizes: dict[str, int] = {}
        first: dict[str, str] = {}
        ordered = []
        for spec, dtype, value in zip(self.inputs, self._dtypes, given, strict=True):
            array = value if isinstance(value, np.ndarray) else _array(spec, dtype, value)
            if array.dtype != dtype:
                raise QuakeError(
                    f"input {spec.name!r} must be {spec.dtype}, got {array.dtype}; convert it, as "
                    f"with numpy's astype"
                )
            if array.shape != spec.shape:
                _check_shape(spec, array.shape, _LISTED if listed else "")
                self._check_names(spec, array.shape, sizes, first)
            ordered.append(array)
        if self._conditions:
            check_conditions(self._conditions, sizes)
        return ordered

    def _check_names(
        self,
        spec: ModelTensor,
        shape: tuple[int, ...],
        sizes: dict[str, int],
        first: dict[str, str],
    ) -> None:
        """Raise unless the sizes of an input's dynamic dimensions agree and are in their ranges.

        ``sizes`` collects the size of each name, and ``first`` the input that had it first.
        """
        for axis, (name, n) in enumerate(zip(spec.shape, shape, strict=True)):
            if not isinstance(name, str):
                continue
            known = sizes.setdefault(name, n)
            if known != n:
                raise QuakeError(
                    f"input {spec.name!r} has {n} in dimension {name!r} (axis {axis}), which "
                    f"{first[name]!r} has as {known}{self._takes(name)}"
                )
            first.setdefault(name, spec.name)
            if name in self.ranges and not within(n, self.ranges[name]):
                raise QuakeError(
                    f"input {spec.name!r} has {n} in dimension {name!r} (axis {axis}), which takes "
                    f"{range_text(self.ranges[name])}"
                )

    def _takes(self, name: str) -> str:
        return f"; it takes {range_text(self.ranges[name])}" if name in self.ranges else ""

    def _by_name(self, given: Mapping[str, ArrayLike]) -> list[ArrayLike]:
        names = [i.name for i in self.inputs]
        for name in given:
            if name not in names:
                raise QuakeError(f"unknown input {name!r}; the model's inputs: {', '.join(names)}")
        for name in names:
            if name not in given:
                raise QuakeError(f"input {name!r} is missing")
        return [given[name] for name in names]


def _array(spec: ModelTensor, dtype: np.dtype, value: Any) -> np.ndarray:
    """An array of anything but an array.

    Lists and numbers have no dtype of their own. They get the input's, if it has their values or
    both are floats.
    """
    try:
        if hasattr(value, "detach"):  # a torch tensor; numpy takes no bfloat16 of torch
            tensor = value.detach()
            # the name last: numpy computes it at each call
            if dtype.kind == "V" and str(value.dtype) == "torch.bfloat16" == f"torch.{dtype.name}":
                return tensor.float().numpy().astype(dtype)
            return np.asarray(tensor)
        array = np.asarray(value)
        if array.dtype.kind == "O":
            raise TypeError
        if hasattr(value, "dtype") or array.dtype == dtype:
            return array
        converted = array.astype(dtype)
        exact = np.array_equal(converted, array)
    except Exception:  # numpy raises many types of error for ragged lists and for foreign objects
        found = str(getattr(value, "dtype", spec.dtype)).removeprefix("torch.")
        of = "" if found == str(spec.dtype) else f" of {found}"
        raise QuakeError(
            f"input {spec.name!r} must be an array of {spec.dtype}, got a "
            f"{type(value).__name__}{of}"
        ) from None
    floats = array.dtype.kind == "f" and dtype.kind in "fV"
    return converted if exact or floats else array


def _check_shape(spec: ModelTensor, shape: tuple[int, ...], hint: str) -> None:
    """Raise unless the shape has the input's rank and its static sizes."""
    fits = len(shape) == len(spec.shape) and all(
        isinstance(wanted, str) or n == wanted for n, wanted in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, spec.shape))
        raise QuakeError(f"input {spec.name!r} must have shape ({wanted}), got {shape}{hint}")


def within(n: int, limits: Range) -> bool:
    """Whether a size is in a range."""
    least, most = limits
    return least <= n and (most is None or n <= most)


def range_text(limits: Range) -> str:
    """A range in words."""
    least, most = limits
    return f"{least} or more" if most is None else f"{least} to {most}"


def names_in(condition: str) -> tuple[str, ...]:
    """The names in a condition."""
    return _code(condition).co_names


@lru_cache(maxsize=1024)
def _code(condition: str) -> CodeType:
    return compile(condition, "condition", "eval")


def _holds(code: CodeType, sizes: Mapping[str, int]) -> bool:
    try:
        return bool(eval(code, {}, dict(sizes)))
    except ZeroDivisionError:
        return False


def check_conditions(conditions: Sequence[str], sizes: Mapping[str, int]) -> None:
    """Raise QuakeError unless the known sizes satisfy the conditions of the model's export."""
    for condition in conditions:
        code = _code(condition)
        if all(name in sizes for name in code.co_names) and not _holds(code, sizes):
            given = ", ".join(f"{name} = {sizes[name]}" for name in code.co_names)
            raise QuakeError(f"the model was exported for sizes with {condition}, got {given}")
