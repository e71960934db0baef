"""Figures of decoders on this machine: attention's triangle, products of one row, steps, memory.

    python tutorials/decoder_figures.py            # a random model of SmolLM2-135M's size
    python tutorials/decoder_figures.py --small    # a tiny one

Prints tables in Markdown; with ``--page`` it also writes them to their section of this page. Times
are CPU time of one thread, the least of several rounds in which all take turns. PyTorch is eager,
with a cache that grows by concatenation; ONNX Runtime has the file of ``onnx_llama.py``.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cached_llama
import llama
import onnx_llama
import quake_tvm
from cached_llama import CachedLlama
from quake_tvm.support.generated_page import write_section
from sentence_encoder import fail, machine

SMOLLM2 = llama.Sizes(30, 576, 1536, 9, 3, 49152)
SMALL = llama.Sizes(2, 64, 128, 4, 2, 96)
ROUNDS, STEPS_OF_MEMORY = 7, 2000
METHOD = "quake4"
PEERS = "PyTorch ms, ONNX Runtime ms, to the best"


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


def table(head: str, rows: list[list[object]]) -> str:
    """A table in Markdown."""
    names = head.split(", ")
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in rows:
        cells = (f"{x:.3g}" if isinstance(x, float) else str(x) for x in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def in_onnxruntime(weights: llama.Llama) -> Callable[[Sequence[np.ndarray]], Any]:
    """A call of the ONNX decoder with its inputs in order, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        onnx_llama.decoder(weights).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    names = [given.name for given in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def reading() -> str:
    """How fast one thread reads memory: a sum over half a gigabyte."""
    x = torch.ones(128 << 20)
    took = least({"sum": x.sum})["sum"]
    return f"Memory is read at {4e-9 * x.numel() / took:.3g} GB/s."


def compiled(module: nn.Module, *inputs: Tensor) -> Callable[[], Any]:
    """A call of the module as this library compiles it."""
    model = quake_tvm.compile(module, example_inputs=inputs, method=METHOD)
    arrays = [x.numpy() for x in inputs]
    return lambda: model.run(*arrays)


def attention(length: int, depth: int) -> str:
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
    return table(
        "queries a key, square with a mask ms, triangle ms, its keys not repeated ms, "
        "to the square, PyTorch ms",
        rows,
    )


def products(sizes: llama.Sizes) -> str:
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
    return table("weights, GB/s, PyTorch GB/s", rows)


class Decoders:
    """The same random model here, in eager mode, and in ONNX Runtime."""

    def __init__(self, sizes: llama.Sizes, longest: int) -> None:
        self.sizes, self.weights = sizes, llama.random(sizes, seed=0, growth=1.0)
        capacity = longest + 2 * ROUNDS + 2
        program = cached_llama.exported(CachedLlama(self.weights, capacity))
        self.session = quake_tvm.compile(program, method=METHOD).session()
        self.eager = GrowingLlama(self.weights, capacity)
        self.onnx = in_onnxruntime(self.weights)

    def prompts(self, lengths: list[int]) -> str:
        """Prompts at once."""
        rows: list[list[object]] = []
        for length in lengths:
            ids = torch.randint(self.sizes.vocabulary, (1, length))
            inputs = onnx_llama.step(ids.numpy(), onnx_llama.nothing(self.weights))

            def here(array: np.ndarray = inputs[0]) -> None:
                self.session.reset()
                self.session.run(array)

            def eager(ids: Tensor = ids) -> None:
                self.eager.begin(0)
                self.eager(ids)

            calls = {"here": here, "eager": eager, "onnx": lambda inputs=inputs: self.onnx(inputs)}
            rows.append([length, *_compared(least(calls))])
        return table(f"tokens of the prompt, ms, {PEERS}", rows)

    def tokens(self, pasts: list[int]) -> str:
        """One token behind a cache."""
        rows: list[list[object]] = []
        sizes, one = self.sizes, np.zeros((1, 1), np.int64)
        size = 4e-9 * sum(b.numel() for b in self.weights.buffers())
        for past in pasts:
            self.session.reset()
            self.session.run(np.zeros((1, past), np.int64))
            self.eager.begin(past)
            shape = 1, sizes.pairs, past, sizes.width // sizes.heads
            inputs = onnx_llama.step(one, [np.zeros(shape, np.float32)] * (2 * sizes.layers))
            calls = {
                "here": lambda: self.session.run(one),
                "eager": lambda: self.eager(torch.from_numpy(one)),
                "onnx": lambda inputs=inputs: self.onnx(inputs),
            }
            times = least(calls)
            rows.append([past, *_compared(times), size / times["here"]])
        return table(f"tokens in the cache, ms a token, {PEERS}, GB/s of weights", rows)


def _compared(times: Mapping[str, float]) -> list[object]:
    """Milliseconds of all, and the first to the best of the others."""
    first, *others = times.values()
    return [*(1e3 * t for t in times.values()), first / min(others)]


def memory() -> str:
    """The process's memory before and after many steps."""
    decoder = CachedLlama(llama.random(SMALL, seed=0, growth=1.0), STEPS_OF_MEMORY + 50)
    session = quake_tvm.compile(cached_llama.exported(decoder), method=METHOD).session()
    one = np.zeros((1, 1), np.int64)

    def resident(steps: int) -> int:
        for _ in range(steps):
            session.run(one)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() // 1024

    before = resident(50)
    return (
        f"Over {STEPS_OF_MEMORY} steps the memory grew by {resident(STEPS_OF_MEMORY) - before} KB."
    )


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a tiny model, short lengths")
    parser.add_argument("--page", type=Path, help="a page whose figures are to be written")
    arguments = parser.parse_args(argv)
    small = arguments.small
    sizes = SMALL if small else SMOLLM2
    lengths, pasts = ([8, 16], [4, 16]) if small else ([32, 128, 512, 1024], [16, 128, 512, 1024])
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    torch.set_num_threads(1)
    facts = machine(1, "native")
    found = [f"{facts['CPU']}; one thread; rung {METHOD}; torch {torch.__version__}."]
    try:
        with torch.no_grad():
            decoders = Decoders(sizes, max(*lengths, *pasts))
            parts = [
                reading,
                lambda: decoders.tokens(pasts),
                lambda: decoders.prompts(lengths),
                lambda: products(sizes),
                lambda: attention(64 if small else 1024, 64),
                memory,
            ]
            for part in parts:
                found.append(part())
                print(found[-1], end="\n\n", flush=True)
                if arguments.page:
                    write_section(arguments.page, "figures", "\n\n".join(found))
    except quake_tvm.QuakeError as error:
        return fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
