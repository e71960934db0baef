"""The attributes of a ``quake`` operator, with their types. Knows no dialect and no operator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SiteAttrs:
    """What a site's operator carries from the recognisers to the lowering and the report.

    Attributes
    ----------
    method : str
        The rung.
    ieee : bool
        Whether NaN and infinities are guarded.
    source : str
        The operators that the site was recognised from.
    shape : str or None
        Of its operand, for people; None if nobody has said it.
    site : int
        Its number in the model, from 1; 0 if the sites have not been numbered.
    axis : int or None
        That of the rows, for operators over rows.
    keepdims : bool or None
        Whether the axis stays, with one element, for operators that reduce it.
    numbers : mapping
        What the formula takes besides: ``scale``, ``shift``, and the operator's parameters.
    """

    method: str
    ieee: bool
    source: str
    shape: str | None = None
    site: int = 0
    axis: int | None = None
    keepdims: bool | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_attrs(cls, attributes: Mapping[str, Any]) -> "SiteAttrs":
        """From the attributes of a call, in TVM's types or Python's."""
        rest = dict(attributes)
        shape, axis, keepdims = (rest.pop(name, None) for name in ("shape", "axis", "keepdims"))
        return cls(
            str(rest.pop("method")),
            bool(rest.pop("ieee")),
            str(rest.pop("source")),
            None if shape is None else str(shape),
            int(rest.pop("site", 0)),
            None if axis is None else int(axis),
            None if keepdims is None else bool(keepdims),
            {name: float(value) for name, value in rest.items()},
        )

    def to_attrs(self) -> dict[str, Any]:
        """As a call has them; what is not there is left out."""
        placed = {
            "shape": self.shape,
            "site": self.site or None,
            "axis": self.axis,
            "keepdims": self.keepdims,
        }
        return {
            "method": self.method,
            "ieee": self.ieee,
            "source": self.source,
            **{name: value for name, value in placed.items() if value is not None},
            **self.numbers,
        }

    def options(self) -> dict[str, Any]:
        """The keyword arguments of the operator's kernel."""
        kept = {} if self.keepdims is None else {"keepdims": self.keepdims}
        return {**self.numbers, "method": self.method, "ieee": self.ieee, **kept}

    def mark(self, operator: str) -> dict[str, Any]:
        """What a kernel carries of the site, for the report."""
        return {
            "operator": operator,
            "method": self.method,
            "special_values": "ieee" if self.ieee else "finite",
            "source": self.source,
            **({} if self.shape is None else {"shape": self.shape}),
            **({"site": self.site} if self.site else {}),
        }
