"""The attributes of a ``quake`` operator, with their types. Knows no dialect and no operator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SiteAttrs:
    """The attributes that a site's operator carries from recognition to lowering and the report.

    Attributes
    ----------
    method : str
        The rung.
    ieee : bool
        Whether NaN and infinities are guarded.
    source : str
        The operators that the site was recognised from.
    shape : str or None
        The operand's shape as text, None if unknown.
    site : int
        The site's number in the model, from 1; 0 if the sites are not numbered.
    axis : int or None
        The axis of the rows, for operators over rows.
    keepdims : bool or None
        Whether a reduced axis stays with extent 1, for operators that reduce one.
    numbers : mapping
        Further arguments of the formula: ``scale``, ``shift``, and the operator's parameters.
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
        """Read the attributes of a call, in TVM's types or Python's."""
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
        """The attributes for a call. Those that are not set are left out."""
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
        """The keyword arguments for the function that computes the operator's kernel."""
        kept = {} if self.keepdims is None else {"keepdims": self.keepdims}
        return {**self.numbers, "method": self.method, "ieee": self.ieee, **kept}

    def mark(self, operator: str) -> dict[str, Any]:
        """The entry for the site in a kernel's attribute ``quake.sites``, for the report."""
        return {
            "operator": operator,
            "method": self.method,
            "special_values": "ieee" if self.ieee else "finite",
            "source": self.source,
            **({} if self.shape is None else {"shape": self.shape}),
            **({"site": self.site} if self.site else {}),
        }
