"""The best table for a function from integers to integers, such as a chain between quantizations.

Inputs and outputs have 8 or 16 bits, and all inputs count. Unsigned ones are shifted to signed
ones, so that sums fit in twice the width. Knows no chain.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np

from . import dynamic
from .table import Table, TableError, error

# Breakpoints of tables with 65,536 inputs are at multiples of this.
_STRIDE = 128


@dataclass(frozen=True)
class IntegerTable:
    """A table from all integers of a type to integers.

    Attributes
    ----------
    table : Table
        Of the input as a signed integer. Its value is the signed output before it is rounded.
    dtype, to : str
        The types of input and output: int8, uint8, int16 or uint16.
    error : TableError
        In steps of the output. The witness is an input as given.
    """

    table: Table
    dtype: str
    to: str
    error: TableError

    @property
    def zeros(self) -> tuple[int, int]:
        """What is subtracted from an input and from an output to make them signed."""
        return signed(self.dtype), signed(self.to)

    @property
    def wide(self) -> str:
        """The type of the sums."""
        return _wide(self.dtype, self.to)

    def to_json(self) -> str:
        """The table as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "IntegerTable":
        """The table of :meth:`to_json`."""
        raw = json.loads(text)
        table, error = Table.from_dict(raw["table"]), TableError(**raw["error"])
        return cls(table, raw["dtype"], raw["to"], error)

    def outputs(self) -> np.ndarray:
        """The outputs at all inputs, from the smallest to the largest."""
        return _outputs(self.table, self.dtype, self.to)


def approximate(outputs: np.ndarray, dtype: str, entries: int) -> IntegerTable:
    """The table of at most so many entries for given outputs.

    Parameters
    ----------
    outputs : np.ndarray
        int8, uint8, int16 or uint16, at all inputs from the smallest to the largest.
    dtype : str
        The type of the inputs.
    entries : int
    """
    return _approximate(outputs.tobytes(), str(outputs.dtype), dtype, entries)


@cache
def _approximate(raw: bytes, to: str, dtype: str, entries: int) -> IntegerTable:
    outputs = np.frombuffer(raw, to)
    x = _inputs(dtype)
    found = []
    for table in _candidates(outputs, dtype, to, entries):
        if _fits(table, dtype, to):
            apart = error(_outputs(table, dtype, to), outputs, x)
            found.append(IntegerTable(table, dtype, to, apart))
    return min(found, key=lambda each: (each.error.mse, each.error.max))


def _inputs(dtype: str) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.arange(limits.min, limits.max + 1)


def _wide(dtype: str, to: str) -> str:
    return f"int{2 * 8 * max(np.dtype(dtype).itemsize, np.dtype(to).itemsize)}"


def signed(dtype: str) -> int:
    """What is subtracted from an integer of this type to make it signed."""
    limits = np.iinfo(dtype)
    return (int(limits.min) + int(limits.max) + 1) // 2


def _outputs(table: Table, dtype: str, to: str) -> np.ndarray:
    x = _inputs(dtype) - signed(dtype)
    narrow = table.rounded(x, f"int{8 * np.dtype(to).itemsize}")
    return (narrow.astype(np.int64) + signed(to)).astype(to)


def _candidates(outputs: np.ndarray, dtype: str, to: str, entries: int) -> list[Table]:
    """Tables with the shifts that may be best: all for bytes, else the most exact that fits."""
    values = outputs.astype(np.float64) - signed(to)
    first = int(_inputs(dtype)[0]) - signed(dtype)
    stride = _STRIDE if np.dtype(dtype).itemsize > 1 else 1
    half = np.iinfo(_wide(dtype, to)).bits // 2
    slopes = -(1 << half - 1), (1 << half - 1) - 1
    limits = np.iinfo(_wide(dtype, to))
    if half == 8:
        shifts = range(half)
    else:
        steepest = np.abs(values[stride::stride] - values[:-stride:stride]).max() / stride
        most = max(int(np.floor(np.log2(slopes[1] / max(steepest, 1.0)))), 0)
        shifts = range(most, most + 1)
    forms = [dynamic.Format(s, slopes, (limits.min, limits.max)) for s in shifts]
    return [dynamic.fit(values, first, entries, form, stride) for form in forms]


def _fits(table: Table, dtype: str, to: str) -> bool:
    """Whether no product and no sum leaves the wide type, with the half that rounding adds."""
    x, limits = _inputs(dtype) - signed(dtype), np.iinfo(_wide(dtype, to))
    sums = table.sums(x) + (1 << table.shift >> 1)
    starts = np.asarray(table.intercepts) + (1 << table.shift >> 1)
    return all(limits.min <= each.min() and each.max() <= limits.max for each in (sums, starts))
