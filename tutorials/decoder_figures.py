"""Figures of decoders on this machine: attention's triangle, products of one row, steps, memory.

    python tutorials/decoder_figures.py            # a random model of SmolLM2-135M's size
    python tutorials/decoder_figures.py --small    # a tiny one

Prints tables in Markdown. Times are CPU time of one thread, the least of several rounds in which
all take turns. Start it with ``TVM_NUM_THREADS=1``.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cached_llama
import llama
import quake_tvm
from cached_llama import CachedLlama
from sentence_encoder import fail

SMOLLM2 = llama.Sizes(30, 576, 1536, 9, 3, 49152)
SMALL = llama.Sizes(2, 64, 128, 4, 2, 96)
ROUNDS, STEPS_OF_MEMORY = 5, 2000
METHOD = "quake4"


class GrowingLlama(CachedLlama):
    """The same in eager mode as its users write it: the cache grows by concatenation."""

    def begin(self, past: int) -> None:
        """Start with a cache of ``past`` tokens."""
        depth = self.sizes.width // self.sizes.heads
        self.length.fill_(past)
        self.cache = {
            n: (torch.zeros(1, self.sizes.pairs, past, depth),) * 2
            for n in range(self.sizes.layers)
        }

    def _mixed(self, n: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
        keys, values = self.cache[n]
        keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        self.cache[n] = keys, values
        causal = q.shape[2] > 1
        return F.scaled_dot_product_attention(q, keys, values, is_causal=causal, enable_gqa=True)


class Attention(nn.Module):
    """Attention of torch, causal or with a mask."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """See ``scaled_dot_product_attention``."""
        causal = mask is None
        return F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
        )


def least(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """The least CPU seconds of each call; all take turns."""
    found = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.process_time()
            call()
            found[name] = min(found[name], time.process_time() - began)
    return found


def table(head: str, rows: list[list[object]]) -> None:
    """Print a table in Markdown."""
    names = head.split(", ")
    print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(f'{x:.3g}' if isinstance(x, float) else str(x) for x in row)} |")


def compiled(module: nn.Module, *inputs: Tensor) -> Callable[[], Any]:
    """A call of the module as this library compiles it."""
    model = quake_tvm.compile(module, example_inputs=inputs, method=METHOD)
    arrays = [x.numpy() for x in inputs]
    return lambda: model.run(*arrays)


def attention(length: int, depth: int) -> None:
    """The triangle beside the square, and grouped keys beside repeated ones."""
    rows: list[list[object]] = []
    mask = torch.full((length, length), -torch.inf).triu(1)
    for group in (2, 4, 8):
        q = torch.randn(1, 8, length, depth)
        k, v = torch.randn(2, 1, 8 // group, length, depth)
        many = [x.repeat_interleave(group, 1) for x in (k, v)]
        module = Attention()
        times = least(
            {
                "square": compiled(module, q, *many, mask),
                "repeated": compiled(module, q, *many),
                "grouped": compiled(module, q, k, v),
                "eager": lambda module=module, q=q, k=k, v=v: module(q, k, v),
            }
        )
        square, repeated, grouped, eager = (1e3 * t for t in times.values())
        rows.append([group, square, repeated, grouped, grouped / square, eager])
    table(
        "queries a key, square with a mask ms, triangle ms, its keys not repeated ms, "
        "to the square, PyTorch ms",
        rows,
    )


def products(sizes: llama.Sizes) -> None:
    """Products of one row, whose time is that of reading the weights."""
    rows: list[list[object]] = []
    shapes = [
        (sizes.width, sizes.width),
        (sizes.width, sizes.inner),
        (sizes.inner, sizes.width),
        (sizes.width, sizes.vocabulary),
    ]
    for depth, width in shapes:
        layer, x = nn.Linear(depth, width, bias=False), torch.randn(1, depth)
        times = least({"here": compiled(layer, x), "eager": lambda layer=layer, x=x: layer(x)})
        size = 4 * depth * width / 1e9
        rows.append([f"{depth}x{width}", *(size / t for t in times.values())])
    table("weights, GB/s, PyTorch GB/s", rows)


def steps(sizes: llama.Sizes, lengths: list[int], pasts: list[int]) -> None:
    """A prompt at once, and one token behind a cache."""
    weights = llama.random(sizes, seed=0, growth=1.0)
    capacity = max(*lengths, *pasts) + 2 * ROUNDS + 2
    decoder = CachedLlama(weights, capacity)
    model = quake_tvm.compile(cached_llama.exported(decoder), method=METHOD)
    eager, size = GrowingLlama(weights, capacity), 4e-9 * sum(b.numel() for b in weights.buffers())
    rows: list[list[object]] = []
    for length in lengths:
        ids = torch.randint(sizes.vocabulary, (1, length))
        session, array = model.session(), ids.numpy()

        def here(session: Any = session, array: np.ndarray = array) -> None:
            session.reset()
            session.run(array)

        def peer(ids: Tensor = ids) -> None:
            eager.begin(0)
            eager(ids)

        times = least({"here": here, "eager": peer})
        rows.append([length, *(1e3 * t for t in times.values()), times["here"] / times["eager"]])
    table("tokens of the prompt, ms, PyTorch ms, ratio", rows)
    rows = []
    one = torch.zeros(1, 1, dtype=torch.long)
    for past in pasts:
        session, array = model.session(), one.numpy()
        session.run(np.zeros((1, past), np.int64))
        eager.begin(past)
        times = least(
            {
                "here": lambda session=session, array=array: session.run(array),
                "eager": lambda: eager(one),
            }
        )
        took = times["here"]
        rows.append([past, *(1e3 * t for t in times.values()), took / times["eager"], size / took])
    table("tokens in the cache, ms a token, PyTorch ms, ratio, GB/s of weights", rows)


def memory() -> None:
    """The process's memory before and after many steps."""
    capacity = STEPS_OF_MEMORY + 100
    decoder = CachedLlama(llama.random(SMALL, seed=0, growth=1.0), capacity)
    session = quake_tvm.compile(cached_llama.exported(decoder), method=METHOD).session()
    one = np.zeros((1, 1), np.int64)
    for _ in range(50):
        session.run(one)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(STEPS_OF_MEMORY):
        session.run(one)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\n{STEPS_OF_MEMORY} steps: the peak of the memory grew by {after - before} KB")


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a tiny model, short lengths")
    small = parser.parse_args(argv).small
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            attention(64 if small else 1024, 64)
            products(SMALL if small else SMOLLM2)
            lengths = [8, 16] if small else [32, 128, 512, 1024]
            steps(SMALL if small else SMOLLM2, lengths, [4, 16] if small else [16, 128, 512, 1024])
            memory()
    except quake_tvm.QuakeError as error:
        return fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
