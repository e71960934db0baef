"""What this machine does at most on one thread: fused multiply-adds, and bytes read.

Two kernels are generated for the target and timed: independent multiply-adds of whole vectors that
stay in registers, and sums of an array that is read again and again. Knows no model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
from tvm import te

from ..kernels import rows
from ..machines.targets import lanes
from ..support.timing import Timer, cpu_clock, interleave
from ..tvm_version import Expr, Stmt, alloc, fma, tir

# Independent sums: more than a multiply-add's latency times the units of any CPU.
SUMS = 16
# Bytes of the arrays that are read, if the system does not tell the caches' sizes.
_FIRST, _SECOND = 32 << 10, 512 << 10
# Bytes of an array that no cache holds, and multiply-adds or bytes of a timed call.
_LARGE, _WORK = 256 << 20, 1 << 25
ROUNDS = 7


@dataclass(frozen=True)
class Peaks:
    """The most that one thread does.

    Attributes
    ----------
    flops : float
        float32 operations a second; a multiply-add counts as two.
    first, second, memory : float
        Bytes a second that are read from the first-level cache, the second-level cache, memory.
    second_size : int
        Bytes of the second-level cache.
    """

    flops: float
    first: float
    second: float
    memory: float
    second_size: int

    def seconds(self, operations: float, size: float) -> float:
        """The least time for so many operations on tensors of so many bytes together."""
        reading = self.second if size <= self.second_size else self.memory
        return max(operations / self.flops, size / reading)


def measure(target: tvm.target.Target) -> Peaks:
    """Measure this machine, which must run the target's code: some seconds."""
    width = lanes(target)
    first, second = cache_size(1, _FIRST), cache_size(2, _SECOND)
    clocks, amounts = {}, {}
    steps = _WORK // (SUMS * width)
    clocks["flops"] = _clock(_multiply_adds(width, steps), SUMS * width, target)
    amounts["flops"] = 2.0 * steps * SUMS * width
    for name, size in (("first", first // 2), ("second", second // 2), ("memory", _LARGE)):
        part = 4 * SUMS * width
        blocks = size // part
        times = max(1, 4 * _WORK // size)
        clocks[name] = _clock(_reads(width, blocks, times), blocks * SUMS * width, target)
        amounts[name] = float(blocks * part * times)
    timed = interleave({name: Timer(clock) for name, clock in clocks.items()}, ROUNDS)
    rates = {name: amounts[name] / min(seconds) for name, seconds in timed.items()}
    return Peaks(**rates, second_size=second)


def cache_size(level: int, default: int) -> int:
    """Bytes of the data cache of a level, as Linux tells it."""
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (folder / "type").read_text().strip() == "Instruction":
            continue
        if int((folder / "level").read_text()) == level:
            return int((folder / "size").read_text().strip().removesuffix("K")) << 10
    return default


def _multiply_adds(width: int, steps: int) -> Callable[[tir.Buffer, tir.Buffer], Stmt]:
    """sums = sums * x + x, so many times."""

    def body(x: tir.Buffer, out: tir.Buffer) -> Stmt:
        return _summed(width, x, out, lambda each: rows.loop(steps, lambda _: each(0), most=1))

    return body


def _reads(width: int, blocks: int, times: int) -> Callable[[tir.Buffer, tir.Buffer], Stmt]:
    """sums = sums * x + x for all blocks of x, so many times."""

    def body(x: tir.Buffer, out: tir.Buffer) -> Stmt:
        def all_blocks(each: Callable[[Expr | int], Stmt]) -> Stmt:
            once = rows.loop(blocks, lambda n: each(n * SUMS * width), most=1)
            return rows.loop(times, lambda _: once, most=1)

        return _summed(width, x, out, all_blocks)

    return body


def _summed(
    width: int,
    x: tir.Buffer,
    out: tir.Buffer,
    steps: Callable[[Callable[[Expr | int], Stmt]], Stmt],
) -> Stmt:
    """The steps, between the sums' start and their end."""
    sums = rows.local(SUMS * width)

    def vectors(store: Callable[[Expr], Stmt]) -> Stmt:
        def vector(n: int) -> Stmt:
            kind = tir.ForKind.VECTORIZED
            return rows.loop(width, lambda lane: store(n * width + lane), kind)

        return rows.sequence(*map(vector, range(SUMS)))

    def each(start: Expr | int) -> Stmt:
        def step(place: Expr) -> Stmt:
            read = x[start + place]
            return tir.BufferStore(sums, fma(sums[place], read, read), [place])

        return vectors(step)

    begin = vectors(lambda place: tir.BufferStore(sums, tir.const(0, "float32"), [place]))
    end = vectors(lambda place: tir.BufferStore(out, sums[place], [place]))
    return rows.sequence(alloc(sums), begin, steps(each), end)


def _clock(
    body: Callable[[tir.Buffer, tir.Buffer], Stmt], size: int, target: tvm.target.Target
) -> Callable[[int], float]:
    """A clock of the kernel on an array of zeros."""
    x = te.placeholder((size,), "float32", "x")
    result = SUMS * lanes(target)
    y = te.extern([(result,)], [x], lambda ins, outs: body(ins[0], outs[0]), dtype="float32")
    function = te.create_prim_func([x, y]).with_attr("global_symbol", "peak")
    built = tvm.compile(tvm.IRModule({"peak": function}), target)
    arrays = [tvm.runtime.tensor(np.zeros(n, np.float32)) for n in (size, result)]
    kernel = built["peak"]
    return cpu_clock(lambda: kernel(*arrays))
