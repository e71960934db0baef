"""Kernels of every rule followed by every epilogue, with any extents, many run at a time.

A trial is a kernel, its epilogues and its extents. The trial's own seed determines the extents and
all other choices (how much is cut off, the width of panels, tunable parameters), so that a failing
trial can be repeated. Inputs and outputs lie between guards: NaN around inputs, a pattern around
outputs.
"""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tvm
import tvm_ffi
from tvm import te, topi

from quake_tvm.kernels import compute
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_convolutions import depthwise_convolution
from quake_tvm.passes.relax.pack_transposed_convolutions import Phases, transposed_convolution
from quake_tvm.passes.relax.pack_weights import packed_matmul, panels
from quake_tvm.schedules import RULE, product_tiles, schedule
from quake_tvm.schedules.choice import Choice
from quake_tvm.schedules.fence import fence_products
from tests.schedules.kernels import convolution, pixels, placeholder, window

MOST = 70
# Bytes before and after every array, a multiple of the alignment that TVM requires.
GUARD = 1024


@dataclass
class Draw:
    """Random choices for a kernel or an epilogue: extents, numbers, and the inputs it adds."""

    extents: tuple[int, ...]
    rng: random.Random
    kind: str
    inputs: list[te.Tensor]
    given: dict[str, np.ndarray]

    def input(self, *shape: int) -> te.Tensor:
        """Add an input."""
        self.inputs.append(placeholder(*shape, name=f"in{len(self.inputs)}"))
        return self.inputs[-1]

    def some(self, most: int) -> int:
        """A random number from 1 to ``most``."""
        return self.rng.randint(1, max(1, most))


def plain_matmul(d):
    m, n = d.extents
    k = d.some(9)
    return topi.matmul(d.input(m, k), d.input(k, n))


def batched_matmul(d):
    m, n = d.extents
    k, batch = d.some(9), d.some(3)
    a, b = d.input(batch, m, k), d.input(batch, k, n)
    return topi.nn.batch_matmul(a, b, transpose_b=False)


def matmul_of_transposed(d):
    m, n = d.extents
    k, batch = d.some(9), d.some(3)
    a, b = d.input(batch, m, k), d.input(batch, n, k)
    return topi.nn.batch_matmul(a, topi.transpose(b, (0, 2, 1)), transpose_b=False)


def matmul_of_gelu(d):
    m, n = d.extents
    k = d.some(9)
    return topi.matmul(gelu(d.input(m, k)), d.input(k, n))


def panel_width(d, columns):
    return d.rng.choice(list(product_tiles.widths(columns, target(d.kind)).values()))


def matmul_of_panels(d):
    m, n = d.extents
    k, batch, width = d.some(9), d.some(2), panel_width(d, n)
    x = d.input(batch, m, k)
    weights = panels(np.random.default_rng(1).normal(size=(k, n)).astype(np.float32), width)
    w = d.input(*weights.shape)
    d.given[w.op.name] = weights
    return packed_matmul(x, w, n)


def convolved(rank, groups=1):
    def make(d):
        places, channels = d.extents
        strides, size = d.some(2), d.some(3)
        inside = d.some(4 if groups == 1 else 2) * groups
        shape = (1, *[d.some(4) + size for _ in range(rank - 1)], places + size - 1, inside)
        padding = (d.some(2) - 1, d.some(3) - 1)
        inputs, y, given, _ = convolution(
            shape, channels * groups, size, groups, d.kind, strides=strides, padding=padding
        )
        d.inputs += inputs
        d.given |= given
        return y

    return make


def transposed(d):
    places, channels = d.extents
    inside, strides, taps, width = d.some(4), d.some(3), d.some(2), panel_width(d, channels)
    phases = Phases((taps,), (strides,), (d.some(3) - 1,), (places,))
    plain = np.random.default_rng(1).normal(size=(strides, taps, inside, channels))
    packed = np.ascontiguousarray(np.moveaxis(panels(plain.astype(np.float32), width), 0, 1))
    x, w = d.input(1, places + d.some(3) - 1, inside), d.input(*packed.shape)
    d.given[w.op.name] = packed
    return transposed_convolution(x, w, channels, phases)


def depthwise(rank):
    def make(d):
        places, channels = d.extents
        size, strides = d.some(3), d.some(2)
        outer = [d.some(20) + size - 1 for _ in range(rank - 1)]
        view = window(size, strides, padding=(d.some(2) - 1, d.some(2) - 1), rank=rank)
        shape = (d.some(2), *outer, places + size - 1, channels)
        x, w = d.input(*shape), d.input(*[size] * rank, channels)
        return depthwise_convolution(x, w, pixels(shape, view), view)

    return make


def pooled(kind):
    def make(d):
        places, channels = d.extents
        x = d.input(1, d.some(5) + 1, places + 1, channels)
        padding = [d.some(2) - 1 for _ in range(4)]
        return topi.nn.pool2d(x, [2, 2], [d.some(2)] * 2, [1, 1], padding, kind, layout="NHWC")

    return make


def sum_of_tokens(d):
    tokens, channels = d.extents
    return topi.sum(d.input(d.some(3), tokens, channels), 1, keepdims=True)


def rows_of(make):
    """Rows in one axis or in two."""

    def made(d):
        rows, length = d.extents
        outer = d.rng.choice([(rows,), (1, rows), (d.some(5), d.some(14))])
        return make(d, d.input(*outer, length))

    return made


def variance(d, x):
    length = float(int(x.shape[-1]))
    mean = topi.sum(x, -1, keepdims=True) / length
    apart = topi.subtract(x, mean)
    return topi.sum(topi.multiply(apart, apart), -1, keepdims=True) / length


def deviation(d, x):
    return topi.sqrt(variance(d, x) + 1e-5)


def normalized(d, x):
    return topi.divide(x, deviation(d, x))


def logsumexp(d, x):
    top = topi.max(x, -1, keepdims=True)
    total = topi.sum(topi.exp(topi.subtract(x, top)), -1, keepdims=True)
    return topi.add(topi.log(total), top)


def layer_norm(d, x):
    n = x.shape[-1]
    return topi.nn.layer_norm(x, d.input(n), d.input(n), axis=[len(x.shape) - 1])


def gelu(x):
    return compute.elementwise(x, "gelu", "quake2")


def chain(d):
    m, n = d.extents
    return gelu(topi.add(d.input(m, n), d.input(n)))


def channels_first(d):
    places, channels = d.extents
    x, w = d.input(1, 2, d.some(3) + 2, places + 2), d.input(channels, 2, 3, 3)
    return topi.nn.conv2d(x, w, 1, 0, 1, "NCHW")


KERNELS: dict[str, Callable[[Draw], te.Tensor]] = {
    "matmul": plain_matmul,
    "matmul_of_panels": matmul_of_panels,
    "matmul_batched": batched_matmul,
    "matmul_of_transposed": matmul_of_transposed,
    "matmul_of_gelu": matmul_of_gelu,
    "convolution_1d": convolved(1),
    "convolution_2d": convolved(2),
    "convolution_of_groups": convolved(1, 2),
    "convolution_channels_first": channels_first,
    "convolution_transposed": transposed,
    "depthwise_1d": depthwise(1),
    "depthwise_2d": depthwise(2),
    "pool_max": pooled("max"),
    "pool_avg": pooled("avg"),
    "sum_of_tokens": sum_of_tokens,
    "sum": rows_of(lambda d, x: topi.sum(x, -1, keepdims=d.rng.random() < 0.5)),
    "variance": rows_of(variance),
    "deviation": rows_of(deviation),
    "normalized": rows_of(normalized),
    "layer_norm": rows_of(layer_norm),
    "logsumexp": rows_of(logsumexp),
    "exact_softmax": rows_of(lambda d, x: topi.nn.softmax(x)),
    "softmax": rows_of(lambda d, x: compute.softmax(x, method="quake2")),
    "elementwise": chain,
}


def keep(d, n):
    """How many of n elements are kept: all except a few, or any number."""
    return max(1, n - d.some(4)) if d.rng.random() < 0.5 else d.some(n)


def sizes(t):
    return [int(n) for n in t.shape]


def cut(axes, from_start):
    """A slice along some of the last axes."""

    def make(d, t):
        begin, end = [0] * len(t.shape), sizes(t)
        for axis in axes:
            if len(end) < axis:
                continue
            n = end[-axis]
            stay = keep(d, n)
            begin[-axis] = 0 if from_start else d.rng.randint(0, n - stay)
            end[-axis] = begin[-axis] + stay
        return topi.strided_slice(t, begin, end)

    return make


def padded(before):
    def make(d, t):
        rank = len(t.shape)
        last = min(2, rank)
        front = [0] * (rank - last) + [d.some(4) - 1 if before else 0 for _ in range(last)]
        back = [0] * (rank - last) + [d.some(4) - 1 for _ in range(last)]
        return topi.nn.pad(t, front, back)

    return make


def concatenated(d, t):
    shape, axis = sizes(t), d.some(min(2, len(t.shape)))
    shape[-axis] = d.some(9)
    other = d.input(*shape)
    both = [t, other] if d.rng.random() < 0.5 else [other, t]
    return topi.concatenate([each.astype(t.dtype) for each in both], axis=len(shape) - axis)


def broadcast(d, t):
    shape = sizes(t)
    if d.rng.random() < 0.5 and len(shape) < 5:
        return topi.broadcast_to(t, (d.some(3), *shape))
    some = [n if d.rng.random() < 0.5 else 1 for n in shape] if d.rng.random() < 0.7 else []
    return topi.add(t, topi.cast(d.input(*some), t.dtype))


def cast(d, t):
    return topi.cast(t, d.rng.choice(["float64", "int32", "int64", "float16", "float32"]))


def swapped(d, t):
    axes = list(range(len(t.shape)))
    if len(axes) > 1:
        a, b = d.rng.sample(axes, 2)
        axes[a], axes[b] = axes[b], axes[a]
    return topi.transpose(t, axes)


def bias_and_gelu(d, t):
    if str(t.dtype) != "float32":
        return topi.add(t, topi.cast(d.input(t.shape[-1]), t.dtype))
    return gelu(topi.add(t, d.input(t.shape[-1])))


def reshaped(d, t):
    shape = sizes(t)
    flat = [int(np.prod(shape))] if len(shape) < 2 else [*shape[:-2], shape[-2] * shape[-1]]
    return topi.reshape(t, flat)


def flipped(d, t):
    return topi.flip(t, axis=len(t.shape) - d.some(min(2, len(t.shape))))


EPILOGUES: dict[str, Callable[[Draw, te.Tensor], te.Tensor]] = {
    "slice_rows": cut((2,), True),
    "slice_columns": cut((1,), True),
    "slice_both": cut((1, 2), True),
    "slice_inside": cut((1, 2), False),
    "pad_behind": padded(False),
    "pad": padded(True),
    "concat": concatenated,
    "broadcast": broadcast,
    "cast": cast,
    "transpose": swapped,
    "gelu": bias_and_gelu,
    "reshape": reshaped,
    "flip": flipped,
}


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
