"""Epilogues of kernels, with random choices."""

from collections.abc import Callable

import numpy as np
from tvm import te, topi

from tests.schedules.sweep_kernels import Draw, gelu


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
