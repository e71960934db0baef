"""The rule for recurrent layers: LSTM, GRU and RNN.

:mod:`quake_tvm.kernels.recurrent` generates these kernels, since no schedule can express a loop
that carries its state. The pass that lowers a layer asks :func:`tile` for the kernel's numbers,
because the weights are packed accordingly. If other numbers are chosen for the kernel, it is
generated again.

A register tile is as many rows, times as many vectors of each gate's units, as the registers hold.
With few rows it is wide, so that there are enough independent sums. All rows of a tile use a weight
that was loaded once.
"""

import math
from dataclasses import replace

import tvm
from tvm import s_tir

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.recurrent_tile import RecurrentTile
from quake_tvm.tvm_version import tir

from . import analysis
from .choice import RULE_DEFAULT, Choice, Decide, Key
from .choices import choices
from .fence import fence_products

# Options: vectors of a gate's units, rows of a tile, and the most rows that one thread computes.
VECTORS, ROWS, BLOCKS = (1, 2, 4, 8), (1, 2, 3, 4, 6, 8), (4, 8, 16, 32)
# The default of the last one.
BLOCK = 16
# Independent sums that hide the latency of a multiply-add.
CHAINS = 8
# Of tiles whose cost is within this factor of the least, the narrowest is taken. The first panel of
# a step is the last one of the step before, and a narrow one is still in the first-level cache.
NEARLY = 1.05


def key_of(
    steps: int | None,
    rows: int | None,
    directions: int,
    gates: int,
    units: int,
    dtype: str = "float32",
) -> Key:
    """The key of a layer whose first product has this many gates. None for unknown sizes.

    ``dtype`` is that of its packed weights.
    """
    key = Key.of(
        "recurrent", steps=steps, rows=rows, directions=directions, gates=gates, columns=units
    )
    return replace(key, dtype=dtype)


def widths(units: int, target: tvm.target.Target) -> dict[int, int]:
    """The possible widths of a panel: vectors mapped to units."""
    lanes = min(analysis.lanes(target), 1 << (units.bit_length() - 1))
    return {n: n * lanes for n in VECTORS if n * lanes <= units}


def tile(key: Key, target: tvm.target.Target, choice: Choice = RULE_DEFAULT) -> RecurrentTile:
    """The tile of a layer's kernel.

    Parameters
    ----------
    key : Key
        As :func:`key_of` makes it.
    target : tvm.target.Target
    choice : Choice
        The tunable parameters.
    """
    gates, rows, units = key["gates"] or 1, key["rows"], key["columns"] or 1
    registers = choices(target).registers * 3 // 4
    block = BLOCK if rows is None else analysis.balanced(max(rows, 1), BLOCK)
    options = widths(units, target)

    def most(vectors: int) -> int:
        """The most rows whose sums the registers hold."""
        return max(registers // (gates * vectors), 1)

    def cost(vectors: int, high: int) -> float:
        """The estimated cost of a row of a step: multiply-adds and loads, or the latency."""
        wide = gates * vectors
        if wide > registers:
            return math.inf
        tiles = -(-units // options[vectors]) * (1 / high if rows is None else -(-block // high))
        return tiles * max(high * wide + (high + wide) / 4, CHAINS)

    def height(vectors: int) -> int:
        """The rows of a tile of this width."""
        if rows is None:
            return most(vectors)
        return min(range(1, min(block, most(vectors)) + 1), key=lambda high: cost(vectors, high))

    vectors = choice.pick("vectors", list(options), 0)
    if vectors == 0:
        choice = RULE_DEFAULT
        costs = {n: cost(n, height(n)) for n in options}
        vectors = next(n for n, each in costs.items() if each <= NEARLY * min(costs.values()))
    own = RecurrentTile(height(vectors), options[vectors], block)
    return _cut(key, own, vectors, target, choice)


def _cut(
    key: Key, own: RecurrentTile, vectors: int, target: tvm.target.Target, choice: Choice
) -> RecurrentTile:
    """The tile with the rows that a choice has for panels of so many vectors."""
    rows, gates = key["rows"], key["gates"] or 1
    blocks = [n for n in BLOCKS if rows is not None and n <= rows]
    block = choice.pick("block", blocks, own.block)
    most = choices(target).registers // (gates * vectors)
    heights = [n for n in ROWS if n <= min(block, most)]
    return RecurrentTile(min(choice.pick("rows", heights, own.rows), block), own.units, block)


def apply(
    function: tir.PrimFunc, target: tvm.target.Target, decide: Decide
) -> s_tir.Schedule | None:
    """Take a function that is one recurrent layer.

    See :class:`~quake_tvm.schedules.rule.Rule` for the parameters.
    """
    if not analysis.written_out(function, "quake_recurrent"):
        return None
    kernel = KernelSpec.of(function)
    if kernel is None:
        return analysis.start(function)
    key = _key(function, kernel)
    own = RecurrentTile(*(kernel.options[name] for name in ("tile", "units", "block")))
    vectors = {units: n for n, units in widths(key["columns"] or 1, target).items()}
    if own.units not in vectors:
        return analysis.start(function)
    choice = decide(key)
    if choice.pick("vectors", [vectors[own.units]], 0) == 0:
        choice = RULE_DEFAULT  # it was made for another width
    cut = _cut(key, own, vectors[own.units], target, choice)
    if cut != own:
        function = fence_products(kernel.rebuild(function, tile=cut.rows, block=cut.block))
    return analysis.start(function)


def _key(function: tir.PrimFunc, kernel: KernelSpec) -> Key:
    """The key of a kernel."""
    x, panels = (p.ty.shape for p in function.params[:2])
    before, after = (
        p.ty.shape for p in (function.params[-kernel.results + 1], function.params[-1])
    )
    steps, rows = (analysis.constant(n) for n in list(x)[:2])
    if kernel.options.get("batch_first"):
        steps, rows = rows, steps
    gates = int(panels[3]) // kernel.options["units"]
    units, dtype = min(int(before[2]), int(after[2])), str(function.params[1].ty.dtype)
    return key_of(steps, rows, int(after[0]), gates, units, dtype)
