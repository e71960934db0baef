"""A small language model from scratch: its feed-forward layers as products, as look-ups, or none.

Four models learn to predict the next byte of Reuters' news texts. They differ in their feed-forward
layers only: products with GELU, look-ups with a dense projection, look-ups with BH4, and nothing.
All have the same data in the same order. The table has the perplexity on texts that they have not
seen, at equal numbers of steps and at equal CPU time, and what a layer costs when this library
has compiled it.

    python tutorials/lookup_language_model.py            # half an hour
    python tutorials/lookup_language_model.py --small    # tiny models, a minute
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

import model_data
from lookup_torch import BH4, Dense, FeedForward, LookUp, Nothing
from sentence_encoder import fail

BYTES, HEADS, BATCH = 256, 4, 16
RATE, WARM_UP, EVERY = 1e-3, 50, 10
# Bytes of unseen text that perplexity is measured on.
UNSEEN = 100_000
# Rows of the calls that are timed.
ROWS = (1, 128)


@dataclass(frozen=True)
class Size:
    """The size of a model, and its training."""

    width: int = 128
    layers: int = 3
    context: int = 128
    tables: int = 64
    bits: int = 8
    steps: int = 600

    def kinds(self) -> dict[str, Callable[[], nn.Module]]:
        """The feed-forward layers by name."""
        return {
            "products": lambda: FeedForward(self.width),
            "look-ups, dense": lambda: LookUp(self.width, self.tables, self.bits, Dense),
            "look-ups, BH4": lambda: LookUp(self.width, self.tables, self.bits, BH4),
            "none": Nothing,
        }


SMALL = Size(width=64, layers=1, context=32, tables=8, bits=4, steps=20)


class Attention(nn.Module):
    """A norm and causal self-attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.into = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Float (batch, length, width) to the same."""
        q, k, v = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in self.into(self.norm(x)).chunk(3, -1)
        )
        found = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(found.transpose(1, 2).flatten(2))


class Model(nn.Module):
    """Bytes (batch, length) to the logits of the next ones (batch, length, 256)."""

    def __init__(self, size: Size, layer: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.bytes = nn.Embedding(BYTES, size.width)
        self.places = nn.Embedding(size.context, size.width)
        self.attentions = nn.ModuleList(Attention(size.width) for _ in range(size.layers))
        self.layers = nn.ModuleList(layer() for _ in range(size.layers))
        self.norm, self.last = nn.LayerNorm(size.width), nn.Linear(size.width, BYTES)
        nn.init.normal_(self.bytes.weight, std=0.02)
        nn.init.normal_(self.places.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits."""
        x = self.bytes(tokens) + self.places.weight[: tokens.shape[1]]
        for attention, layer in zip(self.attentions, self.layers, strict=True):
            x = x + attention(x)
            x = x + layer(x.flatten(0, 1)).view_as(x)
        return self.last(self.norm(x))


@dataclass
class Training:
    """A model in training, and its perplexity on unseen text so far.

    Attributes
    ----------
    seconds : float
        CPU time of the training so far.
    perplexities : list of (int, float, float)
        Steps, CPU seconds, and perplexity a byte.
    """

    size: Size
    layer: Callable[[], nn.Module]
    seconds: float = 0.0
    steps: int = 0
    perplexities: list[tuple[int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.model = Model(self.size, self.layer)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), RATE, betas=(0.9, 0.95))

    def run(self, text: Tensor, unseen: Tensor, steps: int, seconds: float) -> None:
        """Train until both so many steps and so much CPU time are reached."""
        reached = 0
        while reached < 2:
            start = time.process_time()
            for _ in range(EVERY):
                self._step(text)
            self.seconds += time.process_time() - start
            before, reached = reached, (self.steps >= steps) + (self.seconds >= seconds)
            if reached > before:
                self._measure(unseen)

    def _step(self, text: Tensor) -> None:
        random = np.random.default_rng((0, self.steps))  # the same for all models
        starts = random.integers(0, len(text) - self.size.context - 1, BATCH)
        rows = torch.stack([text[n : n + self.size.context + 1] for n in starts]).long()
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, self.steps / WARM_UP)
        loss = self._loss(rows)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def _loss(self, rows: Tensor) -> Tensor:
        logits = self.model(rows[:, :-1])
        return nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())

    @torch.no_grad()
    def _measure(self, unseen: Tensor) -> None:
        length = self.size.context + 1
        rows = unseen[: len(unseen) // length * length].view(-1, length).long()
        losses = [self._loss(part) * len(part) for part in rows.split(64)]
        perplexity = float(torch.exp(sum(losses) / len(rows)))
        self.perplexities.append((self.steps, self.seconds, perplexity))

    def at_step(self, steps: int) -> float:
        """The perplexity after so many steps."""
        return next(p for n, _, p in self.perplexities if n >= steps)

    def at_time(self, seconds: float) -> float:
        """The perplexity after so much CPU time."""
        return next(p for _, s, p in self.perplexities if s >= seconds)


def microseconds(layer: nn.Module, width: int, rows: int) -> float:
    """The least CPU time of a row, in calls of a compiled layer, each with other rows."""
    import quake_tvm
    from quake_tvm.lookup import to_onnx

    inputs = np.random.default_rng(0).standard_normal((64, rows, width)).astype(np.float32)
    if isinstance(layer, LookUp):
        built = quake_tvm.compile(to_onnx(layer.state_dict()), shapes={"x": (rows, width)})
    else:
        built = quake_tvm.compile(layer.eval(), example_inputs=(torch.from_numpy(inputs[0]),))
    taken = []
    for _ in range(20):
        start = time.process_time()
        for x in inputs:
            built(x)
        taken.append(time.process_time() - start)
    return 1e6 * min(taken) / (len(inputs) * rows)


def texts(split: str) -> Tensor:
    """The bytes of Reuters' texts."""
    from tasks import reuters

    return as_bytes("\n".join(reuters.read(split)[0]))


def as_bytes(text: str) -> Tensor:
    """A text as uint8."""
    return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())


def run(size: Size, text: Tensor, unseen: Tensor) -> None:
    """Train all models, and print the table."""
    print(f"{size}, {BATCH} texts a step, one thread")
    seconds = 0.0
    titles = "perplexity", "at equal time", "operations a row", *(f"us a row, {n}" for n in ROWS)
    print(f"{'layers':16}" + "".join(f"{title:>18}" for title in titles))
    for name, layer in size.kinds().items():
        training = Training(size, layer)
        training.run(text, unseen, size.steps, seconds)
        seconds = seconds or training.seconds  # the first model's time is that of all
        trained = training.model.layers[0]
        figures = [training.at_step(size.steps), training.at_time(seconds)]
        cells = [f"{p:.3f}" for p in figures] + [f"{trained.operations():,}"]
        if trained.operations():
            cells += [f"{microseconds(trained, size.width, n):.2f}" for n in ROWS]
        print(f"{name:16}" + "".join(f"{cell:>18}" for cell in cells), flush=True)
    print(f"equal time: {seconds:.0f} s of CPU time")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tutorial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=Size.steps)
    parser.add_argument("--small", action="store_true", help="tiny models on numbers as text")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    try:
        if options.small:
            text = as_bytes(" ".join(map(str, range(4000))))
            run(SMALL, text, text[:2000])
        else:
            run(Size(steps=options.steps), texts("train"), texts("test")[:UNSEEN])
    except model_data.DataError as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
