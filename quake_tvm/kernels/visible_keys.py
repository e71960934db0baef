"""The keys that the rows of an attention see: row i sees the keys up to ``positions[i]``.

So no mask is read, and nothing is computed for keys that no row of a block sees. Positions are
data: a wrong one cannot make a kernel read past the keys. Knows no product and no softmax.
"""

import math
from dataclasses import dataclass

from ..numerics.exp_bits import constant
from ..tvm_version import alloc, tir
from . import rows
from .rows import Expr, Stmt


@dataclass(frozen=True)
class VisibleKeys:
    """The last visible key of every row.

    Attributes
    ----------
    positions : Buffer
        int64, of one dimension: the rows.
    keys : int or Expr
        The keys that there are.
    """

    positions: tir.Buffer
    keys: int | Expr

    def of_rows(self, first: Expr | int, count: int | Expr) -> tuple[list[Stmt], Expr]:
        """The keys that are processed for ``count`` rows: the statements, and the number's name.

        A multiple of the lanes, or all keys; at least one chunk of softmax.
        """
        most = rows.local(1, "int64")
        zero, lanes = tir.const(0, "int64"), rows.LANES

        def row(r: Expr) -> Stmt:
            return tir.BufferStore(most, tir.max(most[0], self._last(first + r)), [0])

        known, seen = rows.once(tir.min((most[0] // lanes + 1) * lanes, self.keys))
        each = rows.loop(count, row, most=1)
        return [alloc(most), tir.BufferStore(most, zero, [0]), each, *known], seen

    def _last(self, row: Expr | int) -> Expr:
        return tir.min(self.positions[row], self.keys - 1)

    def masked(
        self, row: Expr, start: int | Expr, value: rows.Value
    ) -> tuple[list[Stmt], rows.Value]:
        """The scores of one row from the key ``start`` on; -inf where it does not see the key.

        With the statements before their use.
        """
        # A name, since TVM would add to the position, which may be the largest number.
        known, last = rows.once(self._last(row))
        return known, lambda j: tir.Select(start + j <= last, value(j), constant(-math.inf))
