"""Kernels of every rule followed by every epilogue, with any extents, many run at a time.

A trial is a kernel, its epilogues and its extents. The trial's own seed determines the extents and
all other choices (how much is cut off, the width of panels, tunable parameters), so that a failing
trial can be repeated. Inputs and outputs lie between guards: NaN around inputs, a pattern around
outputs.
"""

import random
import zlib
from dataclasses import dataclass

import numpy as np
import tvm
import tvm_ffi
from tvm import te

from quake_tvm.machines.targets import target
from quake_tvm.schedules import RULE, schedule
from quake_tvm.schedules.choice import Choice
from quake_tvm.schedules.fence import fence_products
from tests.schedules.sweep_epilogues import EPILOGUES, sizes
from tests.schedules.sweep_kernels import KERNELS, Draw

MOST = 70
# Bytes before and after every array, a multiple of the alignment that TVM requires.
GUARD = 1024


@dataclass(frozen=True)
class Trial:
    """A kernel with some extents, followed by epilogues."""

    kernel: str
    epilogues: tuple[str, ...]
    extents: tuple[int, ...]
    kind: str

    def __str__(self) -> str:
        names = " ".join([self.kernel, *self.epilogues])
        return f"{names} of {'x'.join(map(str, self.extents))} on {self.kind}"

    def prepared(self) -> "Prepared":
        """The kernel, scheduled and plain, and its inputs."""
        seed = zlib.crc32(str(self).encode())
        draw = Draw(self.extents, random.Random(seed), self.kind, [], {})
        result = KERNELS[self.kernel](draw)
        for name in self.epilogues:
            result = EPILOGUES[name](draw, result)
        function = te.create_prim_func([*draw.inputs, result])
        if draw.rng.random() < 0.5:
            scheduled = schedule(function, target(self.kind))
        else:
            chance = _Chance(draw.rng)
            scheduled = schedule(function, target(self.kind), lambda _: chance)
        numbers = np.random.default_rng(seed)
        arrays = [
            draw.given[t.op.name]
            if t.op.name in draw.given
            else (numbers.normal(size=sizes(t)) * 9).astype(np.float32)
            for t in draw.inputs
        ]
        return Prepared(self, function, scheduled, arrays, sizes(result), str(result.dtype))


class _Chance(Choice):
    """A random one of the options."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def pick(self, name, options, own):
        return self.rng.choice([own, *options])


@dataclass
class Prepared:
    """A trial's functions and inputs."""

    trial: Trial
    plain: tvm.tirx.PrimFunc
    scheduled: tvm.tirx.PrimFunc
    arrays: list[np.ndarray]
    shape: list[int]
    dtype: str

    @property
    def rule(self) -> str:
        """The name of the rule that scheduled the kernel."""
        return str(self.scheduled.attrs[RULE])


class Guarded:
    """An array between guards."""

    def __init__(self, shape, dtype, fill):
        self.fill, size = fill, int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.memory = np.empty(size + 2 * GUARD + 64, np.uint8)
        skip = -self.memory.ctypes.data % 64
        self.before = self.memory[skip : skip + GUARD]
        self.after = self.memory[skip + GUARD + size : skip + 2 * GUARD + size]
        self.array = self.memory[skip + GUARD :][:size].view(dtype).reshape(shape)
        self.memory[:] = fill

    def tensor(self):
        """The same memory as a tensor of TVM."""
        return tvm_ffi.from_dlpack(self.array)

    @property
    def whole(self) -> bool:
        """Whether the guards are unchanged."""
        return bool((self.before == self.fill).all() and (self.after == self.fill).all())


def wrong(trials: list[Trial], optimized: bool = False) -> tuple[list[str], dict[str, int]]:
    """What is wrong with these trials, and the number of trials by rule.

    All trials are compiled into one module, by LLVM with or without its optimizations. The rules
    have finished before LLVM starts, and without optimizations it takes a fraction of the time. The
    plain kernels' products are fenced, too: if LLVM keeps a stage's result in registers, it would
    fuse them with the next stage's sums.
    """
    prepared = [trial.prepared() for trial in trials]
    functions = {}
    for n, each in enumerate(prepared):
        functions[f"plain{n}"] = fence_products(each.plain).with_attr("global_symbol", f"plain{n}")
        functions[f"ours{n}"] = each.scheduled.with_attr("global_symbol", f"ours{n}")
    kind = target(trials[0].kind)
    if not optimized:
        kind = tvm.target.Target({**dict(kind.attrs.items()), "kind": "llvm", "opt-level": 0})
    library = tvm.compile(tvm.IRModule(functions), target=kind)
    found, rules = [], {}
    for n, each in enumerate(prepared):
        rules[each.rule] = rules.get(each.rule, 0) + 1
        inputs = []
        for array in each.arrays:
            # With all bits set an input is NaN, so that reading it shows in the result.
            inputs.append(Guarded(array.shape, array.dtype, 255))
            inputs[-1].array[...] = array
        results = []
        for name, fill in ((f"plain{n}", 165), (f"ours{n}", 90)):
            results.append(Guarded(each.shape, each.dtype, fill))
            library[name](*[i.tensor() for i in inputs], results[-1].tensor())
        plain, ours = results
        if not all(each.whole for each in [*inputs, *results]):
            found.append(f"{each.trial} ({each.rule}): writes outside")
        elif plain.array.tobytes() != ours.array.tobytes():
            many = int((plain.array != ours.array).sum())
            found.append(f"{each.trial} ({each.rule}): {many} of {plain.array.size} differ")
    return found, rules


def trials(kind: str, seed: int = 0, chains: int = 40) -> list[Trial]:
    """Every kernel with every epilogue, and with chains of two, for each extent from 1 to 70."""
    made = []
    rng = random.Random(seed)
    for kernel in KERNELS:
        pairs = [tuple(rng.choices(list(EPILOGUES), k=2)) for _ in range(chains)]
        for epilogues in [(), *((name,) for name in EPILOGUES), *pairs]:
            rows, columns = (rng.sample(range(1, MOST + 1), MOST) for _ in range(2))
            count = MOST if len(epilogues) < 2 else 4
            extents = list(zip(rows, columns, strict=True))[:count]
            made += [Trial(kernel, epilogues, each, kind) for each in extents]
    return made
