"""Figures of decoders on this machine: attention's triangle, products of one row, steps, memory.

    python tutorials/decoder_figures.py               # a random model of SmolLM2-135M's size
    python tutorials/decoder_figures.py --threads 2   # with two threads
    python tutorials/decoder_figures.py --small       # a tiny one

Prints tables in Markdown; with ``--page`` it also writes them to their section of this page. Times
are the least of several rounds in which all take turns: CPU time on one thread, and time that
passes on two, when nothing else should run. ``decoder_peers.py`` has the peers.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cached_llama
import llama
import quake_tvm
from cached_llama import CachedLlama
from decoder_peers import Compiled, Contender, Eager, Here, OnnxRuntime, OpenVINO
from quake_tvm.bench import peaks
from quake_tvm.support.generated_page import write_section
from sentence_encoder import fail, machine

SMOLLM2 = llama.Sizes(30, 576, 1536, 9, 3, 49152)
SMALL = llama.Sizes(2, 64, 128, 4, 2, 96)
ROUNDS, STEPS_OF_MEMORY = 7, 2000
METHOD = "quake4"
ONE = np.zeros((1, 1), np.int64)
PEERS = "PyTorch ms, ONNX Runtime ms, OpenVINO ms, compiled PyTorch ms, to the best"
# The sections of the page.
SECTIONS = {1: "one thread", 2: "two threads"}
# Calls by name to the least seconds of each.
Least = Callable[[Mapping[str, Callable[[], Any]]], dict[str, float]]


class Attention(nn.Module):
    """Attention of torch, causal or with a mask."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """See ``scaled_dot_product_attention``."""
        causal = mask is None
        return F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
        )


def least(calls: Mapping[str, Callable[[], Any]], clock: Callable[[], float]) -> dict[str, float]:
    """The least seconds of each call; all take turns."""
    found = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = clock()
            call()
            found[name] = min(found[name], clock() - began)
    return found


def table(head: str, rows: list[list[object]]) -> str:
    """A table in Markdown."""
    names = head.split(", ")
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in rows:
        cells = (f"{x:.3g}" if isinstance(x, float) else str(x) for x in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def reading(least: Least) -> str:
    """How fast memory is read: a sum over half a gigabyte."""
    x = torch.ones(128 << 20)
    took = least({"sum": x.sum})["sum"]
    return f"Memory is read at {4e-9 * x.numel() / took:.3g} GB/s."


def compiled(module: nn.Module, *inputs: Tensor) -> Callable[[], Any]:
    """A call of the module as this library compiles it."""
    model = quake_tvm.compile(module, example_inputs=inputs, method=METHOD)
    arrays = [x.numpy() for x in inputs]
    return lambda: model.run(*arrays)


def attention(length: int, depth: int, least: Least) -> str:
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


def products(sizes: llama.Sizes, least: Least) -> str:
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


def decoders(sizes: llama.Sizes, lengths: list[int], threads: int, least: Least) -> str:
    """One token behind a cache, and prompts at once, of the same random model everywhere."""
    weights = llama.random(sizes, seed=0, growth=1.0)
    size = 4e-9 * sum(b.numel() for b in weights.buffers())
    peak = threads * peaks.measure(quake_tvm.target("native")).flops
    more = ROUNDS + 1  # tokens of a cache behind the prompt
    alike: dict[str, Contender] = {
        "here": Here(weights, max(lengths) + more, METHOD),
        "eager": Eager(weights, max(lengths) + more),
        "onnx": OnnxRuntime(weights, threads),
        "openvino": OpenVINO(weights, threads),
    }
    tokens: list[list[object]] = []
    prompts: list[list[object]] = []
    for length in lengths:
        contenders = {**alike, "compiled": Compiled(weights, length + more)}
        ids = np.random.default_rng(0).integers(sizes.vocabulary, size=(1, length))
        times = least({name: partial(_prompt, each, ids) for name, each in contenders.items()})
        share = operations(sizes, length) / times["here"] / peak
        prompts.append([length, *_compared(times), share])
        # Each has the prompt in its cache now.
        times = least({name: partial(each.step, ONE) for name, each in contenders.items()})
        tokens.append([length, *_compared(times), size / times["here"]])
        torch.compiler.reset()
    return "\n\n".join(
        [
            table(f"tokens in the cache, ms a token, {PEERS}, GB/s of weights", tokens),
            table(f"tokens of the prompt, ms, {PEERS}, of the CPU's peak", prompts),
        ]
    )


def _prompt(contender: Contender, ids: np.ndarray) -> None:
    contender.begin()
    contender.step(ids)


def operations(sizes: llama.Sizes, length: int) -> int:
    """Of the products of a prompt, the attention's triangle, and logits of the last token."""
    kept = sizes.width // sizes.heads * sizes.pairs
    weights = sizes.width * (2 * sizes.width + 2 * kept + 3 * sizes.inner)
    layer = 2 * length * weights + 2 * sizes.width * length * (length + 1)
    return sizes.layers * layer + 2 * sizes.width * sizes.vocabulary


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
    parser.add_argument("--threads", type=int, choices=tuple(SECTIONS), default=1)
    parser.add_argument("--page", type=Path, help="a page whose figures are to be written")
    arguments = parser.parse_args(argv)
    small, threads = arguments.small, arguments.threads
    sizes = SMALL if small else SMOLLM2
    lengths = [4, 16] if small else [16, 32, 128, 512, 1024]
    os.environ["TVM_NUM_THREADS"] = str(threads)  # TVM reads it when it starts its threads
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    turns = partial(least, clock=clock)
    facts = machine(threads, "native")
    found = [f"{facts['CPU']}; {SECTIONS[threads]}; rung {METHOD}; torch {torch.__version__}."]
    parts = [
        partial(reading, turns),
        partial(decoders, sizes, lengths, threads, turns),
        partial(products, sizes, turns),
        partial(attention, 64 if small else 1024, 64, turns),
        memory,
    ]
    try:
        with torch.no_grad():
            for part in parts:
                found.append(part())
                print(found[-1], end="\n\n", flush=True)
                if arguments.page:
                    write_section(arguments.page, SECTIONS[threads], "\n\n".join(found))
    except quake_tvm.QuakeError as error:
        return fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
