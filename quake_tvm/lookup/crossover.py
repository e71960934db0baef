"""Where look-ups are faster than feed-forward layers: ``python -m quake_tvm.lookup.crossover``.

Layers with random weights, their inner width four times the outer one, beside look-ups of 256 rows
a table, for several numbers of rows a call. With ``--page docs/benchmarks/lookup.md`` it writes the
table to that page and draws a picture beside it. Times are CPU seconds of this process, which has
one thread; all take turns, and the least of all rounds counts. Each call has other rows, so that a
call does not find the table rows of the last call in the caches. Knows no training.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..bench.line_picture import picture
from ..bench.one_thread import onnx_session
from ..bench.runtimes import Unavailable
from ..compiler import compile
from ..support.generated_page import write_section
from ..support.timing import Clock, Timer, cpu_clock, interleave
from ..support.whole_file import whole_file
from .blocks import find
from .layer import STORED, LookupLayer
from .surgery import alone, replaced

PROGRAM = "python -m quake_tvm.lookup.crossover"
ROUNDS = 9
BITS = 8
# The number of tables for a width: a third of it.
TABLES = {384: 128, 768: 256}
ROWS = (1, 4, 16, 128, 256)
# Inputs that the calls take in turn, and the rows that all have together at least.
INPUTS, TOGETHER = 16, 256
OWN, OTHER = "this library", "ONNX Runtime"
CONTENDERS = (OWN, OTHER, *STORED)


@dataclass(frozen=True)
class Size:
    """A layer of ``width`` features, on ``rows`` rows a call."""

    width: int
    rows: int

    def layer(self) -> onnx.ModelProto:
        """The layer: a product, GELU and a product."""
        random, inner = np.random.default_rng(0), 4 * self.width
        shapes = {
            "a": (self.width, inner),
            "b": (inner,),
            "c": (inner, self.width),
            "d": (self.width,),
        }
        weights = {
            name: (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
            for name, shape in shapes.items()
        }
        nodes = [
            helper.make_node("MatMul", ["x", "a"], ["wide"]),
            helper.make_node("Add", ["wide", "b"], ["biased"]),
            helper.make_node("Gelu", ["biased"], ["inner"]),
            helper.make_node("MatMul", ["inner", "c"], ["narrow"]),
            helper.make_node("Add", ["narrow", "d"], ["y"]),
        ]
        values = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [self.rows, self.width])
            for n in ("x", "y")
        ]
        constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
        graph = helper.make_graph(nodes, "layer", values[:1], values[1:], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    def look_ups(self) -> dict[str, onnx.ModelProto]:
        """The look-up in the layer's place, for each format of the tables."""
        random, tables = np.random.default_rng(1), TABLES[self.width]
        layer = LookupLayer(
            random.standard_normal((self.width, tables * BITS)).astype(np.float32),
            np.zeros(tables * BITS, np.float32),
            random.standard_normal((tables << BITS, self.width)).astype(np.float32),
            np.zeros(self.width, np.float32),
            BITS,
        )
        model = self.layer()
        (block,) = find(model)
        return {
            form: alone(replaced(model, block, layer, form), block, self.rows) for form in STORED
        }

    def inputs(self) -> list[dict[str, np.ndarray]]:
        """What the calls take in turn."""
        random, count = np.random.default_rng(2), max(INPUTS, TOGETHER // self.rows)
        shape = count, self.rows, self.width
        return [{"x": x} for x in random.standard_normal(shape).astype(np.float32)]


def _quake(model: onnx.ModelProto, size: Size) -> Clock:
    built, inputs = compile(model), cycle(size.inputs())
    return cpu_clock(lambda: built.run(next(inputs)))


def _onnx_runtime(size: Size) -> Clock:
    session, inputs = onnx_session(size.layer()), cycle(size.inputs())
    return cpu_clock(lambda: session.run(None, next(inputs)))


def measure(size: Size, rounds: int) -> dict[str, float]:
    """Seconds of a call by contender."""
    clocks = {OWN: _quake(size.layer(), size)}
    with suppress(Unavailable):
        clocks[OTHER] = _onnx_runtime(size)
    clocks |= {form: _quake(model, size) for form, model in size.look_ups().items()}
    timed = interleave({name: Timer(clock) for name, clock in clocks.items()}, rounds)
    return {name: min(each) for name, each in timed.items()}


def table(found: Mapping[Size, Mapping[str, float]]) -> str:
    """Microseconds a row by contender, and how many times as fast as this library's layer."""
    titles = ["width", "rows", *(f"layer, {n}" for n in (OWN, OTHER))]
    titles += [title for form in STORED for title in (f"look-up, {form}", "times as fast")]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for size, seconds in found.items():
        cells = [str(size.width), str(size.rows)]
        for name in CONTENDERS:
            cells.append(f"{1e6 * seconds[name] / size.rows:.2f}" if name in seconds else "")
            if name in STORED:
                cells.append(f"{seconds[OWN] / seconds[name]:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def chart(found: Mapping[Size, Mapping[str, float]]) -> str:
    """An SVG: how many times as fast as the layer, over the rows of a call."""
    lines = {
        f"width {width}, {form}": [
            (size.rows, seconds[OWN] / seconds[form])
            for size, seconds in found.items()
            if size.width == width
        ]
        for width, form in product(dict.fromkeys(size.width for size in found), STORED)
    }
    return picture(lines, "rows of a call", "times as fast as the layer")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each row, since it takes long."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--width", type=int, nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    found: dict[Size, Mapping[str, float]] = {}
    for width, rows in product(options.width, options.rows):
        size = Size(width, rows)
        found[size] = measure(size, options.rounds)
        print(table({size: found[size]}).splitlines()[-1], flush=True)
    print(table(found))
    if options.page:
        drawn = options.page.with_suffix(".svg")
        with whole_file(drawn) as file:
            file.write_text(chart(found))
        title = "How many times as fast as the layer a look-up is, over the rows of a call"
        write_section(options.page, "times", f"{table(found)}\n\n![{title}]({drawn.name})")


if __name__ == "__main__":
    main()
