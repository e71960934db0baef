"""The proven bounds of the element-wise operators in half precision, from ``half_bounds.json``.

:mod:`quake_tvm.accuracy.half_table` measures them on all inputs. Knows no kernel.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..support.whole_file import whole_file

if TYPE_CHECKING:
    from .operators import Bound

FILE = "half_bounds.json"
_NUMBERS = "relative", "absolute", "witness", "monotone"


@cache
def _table() -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    return json.loads(resources.files("quake_tvm.numerics").joinpath(FILE).read_text())


def of(operator: str, method: str, dtype: str) -> dict[str, Any] | None:
    """The numbers of a bound by name, and ``hash``. None for an operator that is not measured."""
    return _table().get(dtype, {}).get(operator, {}).get(method)


def update(found: "Mapping[str, tuple[Bound, str]]") -> None:
    """Store measured bounds and hashes by rung (for developers: changes the package)."""
    path = Path(str(resources.files("quake_tvm.numerics").joinpath(FILE)))
    table = json.loads(path.read_text()) if path.exists() else {}
    for method, (bound, digest) in found.items():
        row = table.setdefault(bound.dtype, {}).setdefault(bound.operator, {})
        row[method] = {name: getattr(bound, name) for name in _NUMBERS} | {"hash": digest}
    with whole_file(path) as file:
        file.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    _table.cache_clear()
