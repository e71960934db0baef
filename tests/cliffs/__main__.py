"""Times ONNX files beside ONNX Runtime, and names the kernels of those that are slower.

python -m tests.cliffs [--size NAME=N ...] MODEL ...

The times are the least CPU time of rounds in which both take turns, on one thread. Dimensions that
only a run knows have the size of their name, or 1.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import quake_tvm
from quake_tvm.bench.cases import random_feeds
from quake_tvm.bench.compare import difference
from quake_tvm.importers.onnx import file

from ..fuzz.forked import in_children
from ..torch_operators.preload import preload

METHOD, ROUNDS, SHOWN = "quake4", 9, 3
# What a model may take of ONNX Runtime's time before its kernels are listed.
LIMIT = 1.1
# CPU seconds that the calls of a turn last.
_TURN = 0.02
_DEADLINE = 1800.0

Feeds = Mapping[str, np.ndarray]


def shapes_of(path: Path, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's inputs, with these sizes of its dimensions."""
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else sizes.get(dim.dim_param, 1)
            for dim in value.type.tensor_type.shape.dim
        )
        for value in file.inputs(file.with_shapes(file.opened(path), {}))
    }


def least(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """The least CPU seconds of each call over the rounds."""
    numbers = {}
    for name, call in calls.items():
        call()
        start = time.process_time()
        call()
        numbers[name] = max(1, round(_TURN / max(1e-6, time.process_time() - start)))
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(numbers[name]):
                call()
            took = (time.process_time() - start) / numbers[name]
            found[name] = min(found[name], took)
    return found


def shares(model: quake_tvm.Model, feeds: Feeds) -> list[tuple[str, float]]:
    """The kernels that take most of a run's CPU time, with the share of each."""
    runs: list[Counter[str]] = []
    started = 0

    def see(_: Any, name: str, before: bool, *__: Any) -> int:
        nonlocal started
        if before:
            started = time.process_time_ns()
        elif name in model.report.kernels:
            runs[-1][str(name)] += time.process_time_ns() - started
        return 0

    watched = model.instrumented(see)
    for _ in range(ROUNDS):
        runs.append(Counter())
        watched.run(feeds)
    fastest = min(runs, key=lambda run: run.total())
    return [(name, took / fastest.total()) for name, took in fastest.most_common(SHOWN)]


def measured(path: Path, sizes: Mapping[str, int]) -> Iterator[str]:
    """The finding about a file, as JSON."""
    shapes = shapes_of(path, sizes)
    model = quake_tvm.compile(path, method=METHOD, shapes=shapes)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    feeds = random_feeds(model.inputs)
    apart = difference(model.run(feeds), session.run(None, dict(feeds)))
    seconds = least({"us": lambda: model.run(feeds), "ort": lambda: session.run(None, dict(feeds))})
    slow = seconds["us"] > LIMIT * seconds["ort"]
    yield json.dumps(
        {
            "shapes": [list(shape) for shape in shapes.values()],
            "difference": apart,
            **seconds,
            "kernels": shares(model, feeds) if slow else [],
        }
    )


def row(path: Path, found: Mapping[str, Any]) -> str:
    """A row of the table."""
    sizes = "; ".join("x".join(map(str, shape)) for shape in found["shapes"])
    kernels = ", ".join(f"{name} {share:.0%}" for name, share in found["kernels"])
    times = [f"{1e3 * found[name]:.3f}" for name in ("us", "ort")]
    ratio = f"{found['us'] / found['ort']:.2f}"
    cells = [path.stem, sizes, *times, ratio, f"{found['difference']:.0e}", kernels]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=N")
    given = parser.parse_args()
    sizes = {name: int(n) for name, n in (size.rsplit("=", 1) for size in given.size)}
    preload()
    print("| file | inputs | ms | ONNX Runtime | | difference | kernels of the slower ones |")
    print("|---|---|---|---|---|---|---|", flush=True)
    failed = False
    work = in_children(lambda path: measured(path, sizes), given.models, 1, _DEADLINE)
    for ended in work:
        if ended.death or not ended.lines:
            failed = True
            print(f"{ended.item}: {ended.death or ended.lines}", file=sys.stderr, flush=True)
        else:
            print(row(ended.item, json.loads(ended.lines[-1])), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
