"""Random chains of operators that only move elements, each with what NumPy makes of it."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, te, topi

op = relax.op
EXTENTS = (1, 2, 3, 4, 5, 6, 8, 10, 16, 17)
LARGEST = 40_000

Emit = Callable[[relax.BlockBuilder, relax.Expr], relax.Expr]


@dataclass(frozen=True)
class Step:
    """One operator: its name, NumPy's function, and what emits it."""

    name: str
    numpy: Callable[[np.ndarray], np.ndarray]
    emit: Emit


@dataclass(frozen=True)
class Chain:
    """The steps, the input, and the result."""

    steps: list[Step]
    x: np.ndarray
    y: np.ndarray

    def __str__(self) -> str:
        return f"{list(self.x.shape)} " + " ".join(step.name for step in self.steps)


def _plain(f: Callable[[relax.Expr], relax.Expr]) -> Emit:
    return lambda builder, x: builder.emit(f(x))


def _kernel(f: Callable[[te.Tensor], te.Tensor]) -> Emit:
    return lambda builder, x: builder.emit_te(f, x)


def _slice(rng: random.Random, shape: list[int], axis: int) -> Step:
    begin = rng.randrange(shape[axis])
    end, stride = rng.randint(begin + 1, shape[axis]), rng.choice([1, 1, 2, 3])
    at = tuple(slice(begin, end, stride) if k == axis else slice(None) for k in range(len(shape)))
    plain = _plain(lambda x: op.strided_slice(x, [axis], [begin], [end], [stride]))
    return Step(f"slice {axis} {begin}:{end}:{stride}", lambda x: x[at], plain)


def _reshape(rng: random.Random, shape: list[int], axis: int) -> Step:
    left, new = math.prod(shape), []
    for _ in range(rng.randint(0, 3)):
        new.append(rng.choice([n for n in range(1, left + 1) if left % n == 0]))
        left //= new[-1]
    new.append(left)
    rng.shuffle(new)
    return Step(f"reshape {new}", lambda x: x.reshape(new), _plain(lambda x: op.reshape(x, new)))


def _transpose(rng: random.Random, shape: list[int], axis: int) -> Step:
    order = rng.sample(range(len(shape)), len(shape))
    plain = _plain(lambda x: op.permute_dims(x, order))
    return Step(f"transpose {order}", lambda x: x.transpose(order), plain)


def _roll(rng: random.Random, shape: list[int], axis: int) -> Step:
    by = [rng.randint(0, n) for n in shape]
    if rng.random() < 0.6:
        by = [n if k == axis else 0 for k, n in enumerate(by)]

    def rolled(x: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            return x(*((k - b + n) % n for k, b, n in zip(i, by, shape, strict=True)))

        return te.compute(shape, element, name="roll")

    axes = tuple(range(len(shape)))
    return Step(f"roll {by}", lambda x: np.roll(x, by, axes), _kernel(rolled))


def _pad(rng: random.Random, shape: list[int], axis: int) -> Step:
    mode = rng.choice(["wrap", "edge", "reflect", "constant"])
    most = [min(3, n - 1 if mode == "reflect" else n) for n in shape]
    before, after = ([rng.randint(0, n) for n in most] for _ in range(2))
    padded = {
        "wrap": lambda x: topi.nn.circular_pad(x, before, after),
        "edge": lambda x: topi.nn.replicate_pad(x, before, after),
        "reflect": lambda x: topi.nn.mirror_pad(x, before, after, "REFLECT"),
        "constant": lambda x: topi.nn.pad(x, before, after),
    }[mode]
    widths = list(zip(before, after, strict=True))
    return Step(f"pad {mode} {widths}", lambda x: np.pad(x, widths, mode), _kernel(padded))


def _concat(rng: random.Random, shape: list[int], axis: int) -> Step:
    plain = _plain(lambda x: op.concat([x, op.negative(x)], axis))
    return Step(f"concat {axis}", lambda x: np.concatenate([x, -x], axis), plain)


def _tile(rng: random.Random, shape: list[int], axis: int) -> Step:
    times = [rng.randint(1, 2) for _ in shape]
    return Step(f"tile {times}", lambda x: np.tile(x, times), _plain(lambda x: op.tile(x, times)))


def _repeat(rng: random.Random, shape: list[int], axis: int) -> Step:
    plain = _plain(lambda x: op.repeat(x, 2, axis))
    return Step(f"repeat {axis}", lambda x: np.repeat(x, 2, axis), plain)


def _flip(rng: random.Random, shape: list[int], axis: int) -> Step:
    return Step(f"flip {axis}", lambda x: np.flip(x, axis), _plain(lambda x: op.flip(x, axis)))


_MAKERS = (
    *(_slice, _reshape, _reshape, _transpose, _roll, _roll, _pad, _pad, _concat, _tile, _repeat),
    _flip,
)


def chain(seed: int) -> Chain:
    """The chain of a seed: one to four steps from a tensor of up to 3,000 elements."""
    rng = random.Random(seed)
    shape = [rng.choice(EXTENTS) for _ in range(rng.randint(1, 4))]
    while math.prod(shape) > 3000:
        shape[shape.index(max(shape))] = 2
    x = y = np.arange(math.prod(shape), dtype=np.float32).reshape(shape) + 1
    steps: list[Step] = []
    for _ in range(rng.randint(1, 4)):
        step = rng.choice(_MAKERS)(rng, list(y.shape), rng.randrange(y.ndim))
        if step.numpy(y).size <= LARGEST:
            steps.append(step)
            y = step.numpy(y)
    return Chain(steps, x, y)
