"""LSTM layers of int8 weights: ``python -m quake_tvm.bench.byte_recurrent``.

This library beside ONNX Runtime's DynamicQuantizeLSTM, one layer of both directions at a time, with
as many features as units. With ``--page docs/benchmarks/recurrent.md`` it writes the table to that
page. Times are CPU seconds of this process, which has one thread; both take turns, and the least of
all rounds counts. Errors are root mean squares, from ONNX Runtime's LSTM of dequantized weights.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quake_tvm import compiler
from quake_tvm.support.timing import Timer, cpu_clock, interleave

from .one_thread import onnx_session
from .printed_table import print_table

PROGRAM = "python -m quake_tvm.bench.byte_recurrent"
ROUNDS = 21
UNITS, ROWS, STEPS = (64, 128, 256, 512), (1, 16), (16, 64)
OWN, OTHER = "this library", "ONNX Runtime"
HEADER = f"| units | rows | steps | {OWN} | {OTHER} | | error | {OTHER}'s error |"


@dataclass(frozen=True)
class ByteLayer:
    """A layer of ``units`` features and units, on ``steps`` steps of ``rows`` rows."""

    units: int
    rows: int
    steps: int

    def input(self) -> np.ndarray:
        """An input, float32 (steps, rows, units)."""
        random = np.random.default_rng(1)
        return random.standard_normal((self.steps, self.rows, self.units)).astype(np.float32)

    def models(self) -> tuple[onnx.ModelProto, onnx.ModelProto]:
        """The layer as an ONNX model from x to y, and with dequantized weights."""
        random = np.random.default_rng(0)
        scale = np.full(2, 1 / 50 / np.sqrt(self.units), np.float32)
        given: dict[str, np.ndarray] = {
            "scale": scale,
            "zero": np.zeros(2, np.int8),
            "B": (random.standard_normal((2, 8 * self.units)) / 10).astype(np.float32),
        }
        plain = {"B": given["B"]}
        for name in "WR":
            normal = 50 * random.standard_normal((2, self.units, 4 * self.units))
            given[name] = np.rint(normal).clip(-127, 127).astype(np.int8)
            floats = given[name].astype(np.float32) * scale[:, None, None]
            plain[name] = np.ascontiguousarray(floats.transpose(0, 2, 1))
        first, scales = ["x", "W", "R", "B"], ["scale", "zero"] * 2
        quantized = [*first, *[""] * 4, *scales]
        return (
            self._model("DynamicQuantizeLSTM", "com.microsoft", quantized, given),
            self._model("LSTM", "", first, plain),
        )

    def _model(
        self, operator: str, domain: str, inputs: list[str], constants: dict[str, np.ndarray]
    ) -> onnx.ModelProto:
        node = helper.make_node(
            operator,
            inputs,
            ["y"],
            domain=domain,
            hidden_size=self.units,
            direction="bidirectional",
        )
        shape = [self.steps, self.rows, self.units]
        y = [shape[0], 2, *shape[1:]]
        graph = helper.make_graph(
            [node],
            operator,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def measure(layer: ByteLayer, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of a call, and the errors, by contender."""
    (quantized, plain), x = layer.models(), {"x": layer.input()}
    model, session = compiler.compile(quantized), onnx_session(quantized)
    runs = {OWN: lambda: model.run(x), OTHER: lambda: session.run(None, x)}
    exact = onnx_session(plain).run(None, x)[0]
    errors = {n: float(np.sqrt(np.mean((run()[0] - exact) ** 2))) for n, run in runs.items()}
    clocks = {name: Timer(cpu_clock(run)) for name, run in runs.items()}
    return {name: min(each) for name, each in interleave(clocks, rounds).items()}, errors


def line(layer: ByteLayer, seconds: dict[str, float], errors: dict[str, float]) -> str:
    """The row of a layer: milliseconds, their ratio, and the errors."""
    times = [f"{1e3 * seconds[name]:.3f}" for name in (OWN, OTHER)]
    ratio = f"{seconds[OWN] / seconds[OTHER]:.2f}"
    found = [f"{errors[name]:.1e}" for name in (OWN, OTHER)]
    sizes = map(str, (layer.units, layer.rows, layer.steps))
    return f"| {' | '.join([*sizes, *times, ratio, *found])} |"


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
    layers = (ByteLayer(*n) for n in product(options.units, options.rows, options.steps))
    rows = (line(layer, *measure(layer, options.rounds)) for layer in layers)
    print_table(HEADER, rows, options.page, "byte layers")


if __name__ == "__main__":
    main()
