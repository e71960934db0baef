"""What rules ask about a kernel and a target: blocks, loops, vector lanes, parallel loops."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import tvm
import tvm_ffi
from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from quake_tvm.kernels.row_kernel import PARALLEL_ELEMENTS
from quake_tvm.machines import targets
from quake_tvm.tvm_version import tir

from .choice import Choice

# Beyond this factor from PARALLEL_ELEMENTS, whether threads pay is the same on every machine.
NEAR = 16
# TVM's annotation that requests loop partitioning; ours, which keeps a loop of one iteration.
PARTITION, PEELED = "pragma_loop_partition_hint", "quake.peeled"


@lru_cache(maxsize=64)
def lanes(target: tvm.target.Target) -> int:
    """How many float32 fit in a vector register. Cached, because LLVM answers slowly."""
    return targets.lanes(target)


def start(function: tir.PrimFunc) -> s_tir.Schedule:
    """A schedule for a module with one function, named ``main``."""
    return s_tir.Schedule(tvm.IRModule({"main": function}))


def blocks(sch: s_tir.Schedule) -> list[SBlockRV] | None:
    """The kernel's blocks in order. None if the kernel has no root block with plain loop nests."""
    # Asked for a block that is not there, TVM prints the whole kernel into its error: that is slow.
    body = sch.mod["main"].body
    if not isinstance(body, s_tir.SBlockRealize) or body.block.name_hint != "root":
        return None
    try:
        return list(sch.get_child_blocks(sch.get_sblock("root")))
    except Exception:  # TVM raises its own error types if another block has this name too
        return None


def kinds(sch: s_tir.Schedule, block: SBlockRV) -> str:
    """A letter for each of the block's iterators: S spatial, R reduction, O other."""
    letters = {tir.IterVar.DataPar: "S", tir.IterVar.CommReduce: "R"}
    return "".join(letters.get(v.iter_type, "O") for v in sch.get(block).iter_vars)


def same(a: list[tir.Expr], b: list[tir.Expr]) -> bool:
    """Whether two lists of expressions are structurally equal, with the same variables."""
    return len(a) == len(b) and all(map(tvm_ffi.structural_equal, a, b))


def constant(value: int | tir.Expr) -> int | None:
    """The value of a constant integer, None if symbolic."""
    return int(value) if isinstance(value, int | tir.IntImm) else None


def extent(sch: s_tir.Schedule, loop: LoopRV) -> int | None:
    """The loop's constant extent, None if symbolic."""
    return constant(sch.get(loop).extent)


def compact(tensor: tir.Buffer) -> bool:
    """Whether a tensor's elements lie one after another, from the start of its memory on."""
    return not tensor.strides and constant(tensor.elem_offset) == 0


def volume(extents: Iterable[int | tir.Expr]) -> int | None:
    """The product of extents, None if any is symbolic."""
    product = 1
    for n in map(constant, extents):
        if n is None:
            return None
        product *= n
    return product


def elements(sch: s_tir.Schedule, loops: list[LoopRV]) -> int | None:
    """The number of iterations of a loop nest, None if any extent is symbolic."""
    return volume(sch.get(loop).extent for loop in loops)


def balanced(count: int | None, most: int) -> int:
    """The tile size of at most ``most`` that divides ``count`` into the most equal tiles."""
    return most if count is None else -(-count // -(-count // most))


def tile_cost(rows: int, vectors: int) -> int:
    """About the time of one step of a register tile.

    It counts multiply-adds, each as four loads, but at least the latency of an addition.
    """
    return max(4 * rows * vectors + rows + vectors, 32)


def worth_threads(count: int | None) -> bool:
    """Whether this many elements should run on several cores. Unknown counts are taken as large."""
    return count is None or count >= PARALLEL_ELEMENTS


def in_parallel(choice: Choice, count: int | None) -> bool:
    """Whether a kernel of this many elements runs on several cores.

    This is a tunable parameter if the count is within a factor of ``NEAR`` of the threshold.
    """
    own = int(worth_threads(count))
    near = count is not None and 1 / NEAR < count / PARALLEL_ELEMENTS < NEAR
    return bool(choice.pick("parallel", (0, 1) if near else (own,), own))


def outermost(sch: s_tir.Schedule, loops: Sequence[LoopRV]) -> tuple[LoopRV, LoopRV]:
    """Fuse nested loops as far as their extents are known.

    Returns
    -------
    LoopRV, LoopRV
        The loop to run on all cores, and the innermost loop that is left.
    """
    if None not in [extent(sch, loop) for loop in loops]:
        fused = sch.fuse(*loops)
        return fused, fused
    left = groups(sch, loops)
    return left[:2][-1], left[-1]


def groups(sch: s_tir.Schedule, loops: Sequence[LoopRV]) -> list[LoopRV]:
    """Fuse loops as :func:`grouped` says. Returns those that remain, outermost first."""
    found = grouped([extent(sch, loop) for loop in loops])
    fused = [[loops[n] for n in each] for each in found]
    return [sch.fuse(*each) if len(each) > 1 else each[0] for each in fused]


def grouped(extents: Sequence[int | tir.Expr | None]) -> list[list[int]]:
    """Which of nested loops may be fused without a division by a symbolic extent.

    Parameters
    ----------
    extents : sequence of int, Expr or None
        From the outermost loop to the innermost. None for an extent that is not a constant.

    Returns
    -------
    list of list of int
        The numbers of the loops that become one.
    """
    found: list[list[int]] = []
    for n, each in enumerate(extents):
        if found and each is not None and constant(each) is not None:
            found[-1].append(n)
        else:
            found.append([n])
    return found


def vectorize(sch: s_tir.Schedule, loop: LoopRV, width: int) -> LoopRV:
    """Split off an inner loop of ``width`` iterations and vectorize it.

    Iterations that do not fill a vector become a scalar loop. A loop that is shorter than ``width``
    gets one vector of the largest power of two that divides both.

    Parameters
    ----------
    sch : Schedule
    loop : LoopRV
    width : int
        Elements of a vector iteration, a multiple of the vector lanes.

    Returns
    -------
    LoopRV
        The outer loop, or ``loop`` itself if it was not vectorized.
    """
    count = extent(sch, loop)
    if count is not None and count < width:
        # One short vector, of the largest power of two that divides the extent.
        width = math.gcd(count, width)
        if width == 1:
            return loop
    outer, inner = sch.split(loop, [None, width])
    sch.vectorize(inner)
    if count is None or count % width:
        peel(sch, outer)
    return outer


def peel(sch: s_tir.Schedule, loop: LoopRV) -> None:
    """Give the loop's last, incomplete iteration a separate body."""
    sch.annotate(loop, PARTITION, 1)
    # TVM replaces the variable of a one-iteration loop without annotations by a 32-bit 0,
    # whatever the variable's type.
    sch.annotate(loop, PEELED, 1)


def written_out(function: tir.PrimFunc, *names: str) -> bool:
    """Whether the function is a written-out kernel with one of these block names.

    Such a function is a single block that contains its loops.
    """
    body = function.body
    return isinstance(body, s_tir.SBlockRealize) and str(body.block.name_hint) in names
