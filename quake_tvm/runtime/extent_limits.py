"""What a function states about the extents of its inputs: their ranges, and further conditions.

Both are attributes of the function and name the extents. The ranges have TVM's names for them,
because TVM plans memory by the upper ones. A model's description has both, and a run begins with
a check of both (:mod:`runtime.description`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tvm import relax

from ..errors import QuakeError
from .description import (
    CONDITIONS,
    Range,
    check_conditions,
    names_in,
    range_text,
    within,
)

LOWER, UPPER = "tir_var_lower_bound", "tir_var_upper_bound"


@dataclass(frozen=True)
class ExtentLimits:
    """The limits of a function.

    Attributes
    ----------
    conditions : tuple of str
        Python expressions of the names of extents.
    ranges : mapping of str to Range
        The name of an extent to its least and its largest value.
    """

    conditions: tuple[str, ...] = ()
    ranges: Mapping[str, Range] = field(default_factory=dict)

    @staticmethod
    def of(function: relax.Function) -> "ExtentLimits":
        """The limits in a function's attributes."""
        attributes = function.attrs or {}
        conditions = [str(c) for c in attributes.get(CONDITIONS, ())]
        lower, upper = (
            {str(name): int(n) for name, n in attributes.get(key, {}).items()}
            for key in (LOWER, UPPER)
        )
        names = dict.fromkeys([*lower, *upper])
        ranges = {name: (lower.get(name, 0), upper.get(name)) for name in names}
        return ExtentLimits(tuple(conditions), ranges)

    def write(self, function: relax.Function) -> relax.Function:
        """A copy of the function with these limits instead of its own."""
        attributes = {
            CONDITIONS: list(self.conditions),
            LOWER: {name: least for name, (least, _) in self.ranges.items() if least > 0},
            UPPER: {name: most for name, (_, most) in self.ranges.items() if most is not None},
        }
        for key, value in attributes.items():
            if value:
                function = function.with_attr(key, value)
            elif function.attrs and key in function.attrs:
                function = function.without_attr(key)
        return function

    def narrowed(self, name: str, given: Range) -> "ExtentLimits":
        """The limits with one more range for an extent.

        Raises
        ------
        QuakeError
            If no size is in all ranges of the extent.
        """
        own = self.ranges.get(name, (0, None))
        most = min((n for n in (own[1], given[1]) if n is not None), default=None)
        both = max(own[0], given[0]), most
        if most is not None and both[0] > most:
            raise QuakeError(
                f"the range {range_text(given)} of dimension {name!r} has no size in common with "
                f"the model's own, {range_text(own)}"
            )
        return ExtentLimits(self.conditions, {**self.ranges, name: both})

    def substituted(self, values: Mapping[str, int | str]) -> "ExtentLimits":
        """The limits with other names, or sizes, in the place of names.

        Raises
        ------
        QuakeError
            For a size that the limits exclude, and for names whose ranges have no size in common.
        """
        sizes = {name: value for name, value in values.items() if isinstance(value, int)}
        check_conditions(self.conditions, sizes)
        renamed = (
            re.sub(r"\b[^\W\d]\w*", lambda word: str(values.get(word[0], word[0])), condition)
            for condition in self.conditions
        )
        left = ExtentLimits(tuple(condition for condition in renamed if names_in(condition)))
        for name, own in self.ranges.items():
            value = values.get(name, name)
            if isinstance(value, str):
                left = left.narrowed(value, own)
            elif not within(value, own):
                raise QuakeError(f"dimension {name!r} is {value}, and takes {range_text(own)}")
        return left
