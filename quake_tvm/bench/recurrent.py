"""Recurrent layers of many sizes: ``python -m quake_tvm.bench.recurrent``.

This library beside ONNX Runtime and PyTorch, one layer at a time, with as many features as units.
With ``--page docs/benchmarks/recurrent.md`` it writes the table to that page. Times are CPU seconds
of this process, which has one thread; all take turns, and the least of all rounds counts. The time
to compile each layer is in the table too. Knows no schedule.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quake_tvm import compiler
from quake_tvm.support.timing import Clock, Timer, cpu_clock, interleave

from .one_thread import onnx_session
from .printed_table import print_table
from .runtimes import Unavailable

PROGRAM = "python -m quake_tvm.bench.recurrent"
ROUNDS = 7
GATES = {"LSTM": 4, "GRU": 3}
UNITS, ROWS, STEPS = (64, 128, 256, 512), (1, 16), (16, 64, 512)


@dataclass(frozen=True)
class Layer:
    """A layer of ``units`` features and units, on ``steps`` steps of ``rows`` rows."""

    kind: str
    units: int
    rows: int
    steps: int

    def weights(self) -> dict[str, np.ndarray]:
        """Weights of the input, of the state, and both biases, in ONNX's order of gates."""
        random = np.random.default_rng(0)
        wide = GATES[self.kind] * self.units
        shapes = {"W": (1, wide, self.units), "R": (1, wide, self.units), "B": (1, 2 * wide)}
        return {
            name: (random.standard_normal(shape) / np.sqrt(self.units)).astype(np.float32)
            for name, shape in shapes.items()
        }

    def input(self) -> np.ndarray:
        """An input, float32 (steps, rows, units)."""
        random = np.random.default_rng(1)
        return random.standard_normal((self.steps, self.rows, self.units)).astype(np.float32)

    def model(self) -> onnx.ModelProto:
        """The layer as an ONNX model from x to y, (steps, 1, rows, units)."""
        node = helper.make_node(self.kind, ["x", "W", "R", "B"], ["y"], hidden_size=self.units)
        if self.kind == "GRU":  # as torch has it
            node.attribute.append(helper.make_attribute("linear_before_reset", 1))
        shape = [self.steps, self.rows, self.units]
        graph = helper.make_graph(
            [node],
            self.kind,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], 1, *shape[1:]])],
            [numpy_helper.from_array(array, name) for name, array in self.weights().items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _quake(layer: Layer) -> tuple[Clock, float]:
    start = time.process_time()
    model = compiler.compile(layer.model())
    seconds, given = time.process_time() - start, {"x": layer.input()}
    return cpu_clock(lambda: model.run(given)), seconds


def _onnx_runtime(layer: Layer) -> Clock:
    session, given = onnx_session(layer.model()), {"x": layer.input()}
    return cpu_clock(lambda: session.run(None, given))


def _torch(layer: Layer) -> Clock:
    try:
        import torch
    except ImportError:
        raise Unavailable("not installed: pip install torch") from None
    torch.set_num_threads(1)
    module: Any = getattr(torch.nn, layer.kind)(layer.units, layer.units).eval()
    x = torch.from_numpy(layer.input())

    def call() -> None:
        with torch.inference_mode():
            module(x)

    return cpu_clock(call)


OWN = "this library"
OTHERS: Mapping[str, Callable[[Layer], Clock]] = {"ONNX Runtime": _onnx_runtime, "PyTorch": _torch}
HEADER = (
    f"| layer | units | rows | steps | {OWN} | "
    + " | ".join(OTHERS)
    + " | to the faster | s to compile |"
)


def measure(layer: Layer, rounds: int) -> tuple[dict[str, float], float]:
    """Seconds of a call by contender, and the CPU seconds that compiling takes."""
    own, compiling = _quake(layer)
    clocks = {OWN: own}
    for name, contender in OTHERS.items():
        with suppress(Unavailable):
            clocks[name] = contender(layer)
    timed = interleave({name: Timer(clock) for name, clock in clocks.items()}, rounds)
    return {name: min(each) for name, each in timed.items()}, compiling


def line(layer: Layer, seconds: Mapping[str, float], compiling: float) -> str:
    """The row of a layer: milliseconds, and the ratio to the faster of the others."""

    def milliseconds(name: str) -> str:
        return f"{1e3 * seconds[name]:.3f}" if name in seconds else ""

    others = [seconds[name] for name in OTHERS if name in seconds]
    ratio = f"{seconds[OWN] / min(others):.2f}" if others else ""
    sizes = map(str, (layer.units, layer.rows, layer.steps))
    cells = [layer.kind, *sizes, *map(milliseconds, (OWN, *OTHERS)), ratio, f"{compiling:.2f}"]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each row, since it takes long."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=UNITS)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    layers = (Layer(*n) for n in product(GATES, options.units, options.rows, options.steps))
    rows = (line(layer, *measure(layer, options.rounds)) for layer in layers)
    print_table(HEADER, rows, options.page, "layers")


if __name__ == "__main__":
    main()
