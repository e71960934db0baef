"""The stages around a reduction: copies in front of it, its epilogue, and what moves its elements.

The epilogue writes the reduction's result from registers to memory. It is one block.
"""

import tvm
from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from quake_tvm.tvm_version import tir

from . import analysis
from .overlap import OVERLAP

# A loop of fewer iterations has no vectors that overlap.
SHORT = 4


def vectorize_last(sch: s_tir.Schedule, block: SBlockRV, loop: LoopRV, width: int) -> LoopRV:
    """Vectorize a block's last loop.

    If its extent is known, the last vector may overlap the one before.

    Parameters
    ----------
    sch : Schedule
    block : SBlockRV
    loop : LoopRV
    width : int
        Elements of a vector iteration, a multiple of the vector lanes.

    Returns
    -------
    LoopRV
        The outer loop, or ``loop`` itself if it was not vectorized.
    """
    count = analysis.extent(sch, loop)
    if count is None or count < SHORT:
        return analysis.vectorize(sch, loop, width)
    outer, inner = sch.split(loop, [None, min(width, 1 << (count.bit_length() - 1))])
    sch.vectorize(inner)
    sch.annotate(block, OVERLAP, [len(sch.get(block).iter_vars) - 1])
    return outer


def copy(sch: s_tir.Schedule, block: SBlockRV, target: tvm.target.Target) -> None:
    """Schedule a block that copies, for example a padded operand, as a stage of its own.

    Parameters
    ----------
    sch : Schedule
    block : SBlockRV
    target : tvm.target.Target
        Gives the vector width.
    """
    *outer, last = sch.get_loops(block)
    count = analysis.elements(sch, [*outer, last])
    if count == 0:
        return
    if outer and _short_pixels(sch, block):
        *outer, along = outer
        analysis.peel(sch, sch.fuse(along, last))
    else:
        vectorize_last(sch, block, last, analysis.lanes(target))
    if not outer or not analysis.worth_threads(count):
        return
    sch.parallel(analysis.outermost(sch, outer)[0])


def _short_pixels(sch: s_tir.Schedule, block: SBlockRV) -> bool:
    """Whether pixels of less than ``SHORT`` channels are copied as they are, or not at all.

    Then a row of them is one loop. TVM cuts it where the padding ends, and LLVM vectorizes it.
    """
    *_, along, last = sch.get_loops(block)
    few = analysis.extent(sch, last)
    if few is None or few >= SHORT or analysis.extent(sch, along) is None:
        return False
    channel = sch.get(block).iter_vars[-1].var
    regions = [read.region for read in sch.get(block).reads]
    return all(not len(region) or region[-1].min.same_as(channel) for region in regions)


def in_registers(sch: s_tir.Schedule, block: SBlockRV, target: tvm.target.Target) -> SBlockRV:
    """Keep a block's result in a local buffer and return the block that writes it to memory.

    That block is the epilogue, inlined into one block. Each block belongs to it that reads the
    result, and what is computed from it, at the indices where it writes its own; it may write the
    beginning of the result. The first block that moves elements (transpose, pad, concatenation) or
    reads them more than once, and all behind it, become a stage of its own. If there is nothing in
    front of that stage, a new block writes the result to memory.

    Parameters
    ----------
    sch : Schedule
    block : SBlockRV
        The block whose result stays local.
    target : tvm.target.Target
        For the vector width of a separate stage.

    Returns
    -------
    SBlockRV
    """
    every = analysis.blocks(sch) or []
    names = [str(sch.get(b).name_hint) for b in every]
    behind = every[names.index(str(sch.get(block).name_hint)) + 1 :]
    count = _in_front([sch.get(each) for each in (block, *behind)])
    epilogue, moved = behind[:count], behind[count:]
    for other in (*epilogue[:-1], *moved[:-1]):
        sch.compute_inline(other)
    if moved:
        copy(sch, moved[-1], target)
    if not epilogue:
        return sch.cache_write(block, 0, "local")
    sch.set_scope(block, 0, "local")
    return epilogue[-1]


def _in_front(blocks: list[s_tir.SBlock]) -> int:
    """How many of the blocks behind the first make up its epilogue.

    Blocks that read nothing of the first, as the reshape of a bias, are part of it wherever they
    stand. What follows the epilogue may read the result of its last block only.
    """
    made = {0: blocks[0].writes[0].source}
    for number, block in enumerate(blocks[1:], 1):
        if not any(_reads(block, result) for result in made.values()):
            continue
        if not all(_in_place(result, block) for result in made.values()):
            break
        made[number] = block.writes[0].source
    for count in sorted(made, reverse=True):
        inside = [result for number, result in made.items() if number < count]
        if not any(_reads(block, each) for block in blocks[count + 1 :] for each in inside):
            return count
    return 0


def _reads(block: s_tir.SBlock, tensor: tir.Buffer) -> bool:
    return any(read.source.same_as(tensor) for read in block.reads)


def _in_place(result: tir.Buffer, block: s_tir.SBlock) -> bool:
    """Whether a block reads a tensor at the indices where it writes its own, or not at all.

    The block may cover only the beginning of the tensor.
    """

    def own(at: tvm.ir.Range, variable: tir.IterVar, whole: tir.Expr) -> bool:
        ours, theirs = analysis.constant(variable.dom.extent), analysis.constant(whole)
        one = ours == theirs == 1 and analysis.constant(at.min) == 0
        if analysis.constant(at.extent) != 1 or not (one or at.min.same_as(variable.var)):
            return False
        if ours is None or theirs is None:
            return analysis.same([variable.dom.extent], [whole])
        return ours <= theirs

    return all(
        len(result.shape) == len(block.iter_vars)
        and all(own(*each) for each in zip(read.region, block.iter_vars, result.shape, strict=True))
        for read in block.reads
        if read.source.same_as(result)
    )
