"""3x3 convolutions by direct sums and by Winograd's: ``python -m quake_tvm.bench.winograd``.

For each shape the times of both kernels and of ONNX Runtime's convolution, and the largest errors
of both kernels over float64, as a share of the largest result. With ``--page
docs/benchmarks/convolutions.md`` it writes the table to that page. Times are CPU seconds of this
process, which has one thread; all take turns, and the least of all rounds counts. With
``--precision bfloat16`` the direct sum reads pixels that are rounded already, which Winograd's
algorithm rounds itself; ONNX Runtime has float32 in both cases. Knows no schedule.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import tvm
from onnx import TensorProto, helper, numpy_helper

from quake_tvm import compiler
from quake_tvm.build import import_model
from quake_tvm.machines.targets import target
from quake_tvm.numerics.number_formats import COMPUTED
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.support.timing import Clock, Timer, cpu_clock, interleave

from .kernel_clock import kernel_clock
from .one_thread import onnx_session
from .printed_table import print_table

PROGRAM = "python -m quake_tvm.bench.winograd"
ROUNDS = 15
# (pixels of a side, input channels, output channels): residual networks, and detectors.
SHAPES = (
    (56, 64, 64),
    (28, 128, 128),
    (14, 256, 256),
    (112, 32, 32),
    (40, 48, 48),
    (20, 80, 80),
    (160, 16, 16),
    (80, 16, 32),
)
HEADER = (
    "| image | channels | direct, ms | Winograd, ms | ONNX Runtime, ms | direct to Winograd "
    "| ONNX Runtime to Winograd | error, direct | error, Winograd |"
)


def model(side: int, inputs: int, outputs: int) -> onnx.ModelProto:
    """A convolution of one image, padded by one pixel, with random weights."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((outputs, inputs, 3, 3)) / (3 * inputs**0.5)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, side, side])
        for name, channels in (("x", inputs), ("y", outputs))
    )
    constant = numpy_helper.from_array(weights.astype(np.float32), "w")
    graph = helper.make_graph([node], "convolution", [x], [y], [constant])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def kernel(
    given: onnx.ModelProto, winograd: bool, on: tvm.target.Target, precision: str = COMPUTED
) -> tvm.tirx.PrimFunc:
    """The scheduled kernel of a model's convolution."""
    with on:
        steps = Pipeline.of(on, winograd=winograd, precision=precision, method="exact")
        steps = steps.upto("schedule")
        built = steps(import_model(given))
    wanted = "winograd" if winograd else "matmul"
    return next(
        each
        for each in built.functions.values()
        if isinstance(each, tvm.tirx.PrimFunc) and each.attrs["quake.rule"] == wanted
    )


def _clock(function: tvm.tirx.PrimFunc, on: tvm.target.Target) -> Clock:
    """The time of a call with random arguments."""
    rng = np.random.default_rng(0)

    def array(param: tvm.tirx.Var) -> np.ndarray:
        shape, dtype = [int(n) for n in param.shape], np.dtype(str(param.ty.dtype))
        if dtype == COMPUTED:
            return rng.standard_normal(shape, dtype=np.float32)
        # The bits of bfloat16 numbers, or of pairs of them.
        halves = rng.standard_normal((*shape, dtype.itemsize // 2)).astype("bfloat16")
        return halves.view(dtype).reshape(shape)

    return kernel_clock(function, list(map(array, function.params)), on)


def seconds(
    given: onnx.ModelProto, on: tvm.target.Target, rounds: int, precision: str = COMPUTED
) -> list[float]:
    """Of the direct sum, of Winograd's algorithm, and of ONNX Runtime."""
    clocks = {str(each): _clock(kernel(given, each, on, precision), on) for each in (False, True)}
    session, x = onnx_session(given), image(given)
    clocks["onnxruntime"] = cpu_clock(lambda: session.run(None, {"x": x}))
    timed = interleave({name: Timer(clock) for name, clock in clocks.items()}, rounds)
    return [min(each) for each in timed.values()]


def image(given: onnx.ModelProto) -> np.ndarray:
    """A random image."""
    shape = [n.dim_value for n in given.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(1).standard_normal(shape, dtype=np.float32)


def errors(given: onnx.ModelProto, on: tvm.target.Target, precision: str = COMPUTED) -> list[float]:
    """The largest errors of the direct sum and of Winograd's algorithm."""
    x, w = image(given), numpy_helper.to_array(given.graph.initializer[0]).astype(np.float64)
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    exact = np.einsum("ncyxuv,ocuv->noyx", views, w, optimize=True)
    found = (
        compiler.compile(given, on, "exact", winograd=each, precision=precision).run(x)[0]
        for each in (False, True)
    )
    return [float(abs(each - exact).max() / abs(exact).max()) for each in found]


def row(
    side: int,
    inputs: int,
    outputs: int,
    on: tvm.target.Target,
    rounds: int,
    precision: str = COMPUTED,
) -> str:
    """A line of the table."""
    given = model(side, inputs, outputs)
    direct, own, other = seconds(given, on, rounds, precision)
    cells = [f"{side}x{side}", f"{inputs} to {outputs}"]
    cells += [f"{each * 1e3:.3f}" for each in (direct, own, other)]
    cells += [f"{each / own:.2f}" for each in (direct, other)]
    cells += [f"{each:.1e}" for each in errors(given, on, precision)]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each row, since it takes long."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--target", default="native")
    parser.add_argument("--precision", choices=(COMPUTED, "bfloat16"), default=COMPUTED)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    on = target(options.target)
    rows = (row(*shape, on, options.rounds, options.precision) for shape in SHAPES)
    section = options.target if options.precision == COMPUTED else options.precision
    print_table(HEADER, rows, options.page, f"winograd {section}")


if __name__ == "__main__":
    main()
