"""Quantized nonlinearities alone: ``python -m quake_tvm.bench.tables``.

A table of 256 entries on this CPU and as AVX2 code, in nanoseconds for each element, and its
instructions on emulated ARM CPUs; then QLinearSigmoid and QLinearSoftmax beside ONNX Runtime. With
``--page docs/benchmarks/precision.md`` it writes the tables to that page. Times are CPU seconds of
this process, which has one thread; all take turns, and the least of all rounds counts. Knows no
schedule.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tvm
from onnx import TensorProto, helper, numpy_helper

from quake_tvm import compiler
from quake_tvm.build import import_model
from quake_tvm.emulation import count, kernel
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.support.generated_page import write_section
from quake_tvm.support.timing import Clock, Timer, cpu_clock, evaluator_clock, interleave

from .kernel_clock import kernel_clock
from .one_thread import onnx_session

PROGRAM = "python -m quake_tvm.bench.tables"
ROUNDS = 15
# The time for an element is that of the larger table's calls minus that of the smaller one's: the
# call itself does not count. Both fit the first-level cache, inputs and results.
SMALL, LARGE = 4096, 16384
HERE, ARM = ("native", "x86-64-v3"), ("cortex-a53", "cortex-a72", "neoverse-n1")
SHAPES = {"QLinearSigmoid": (1 << 18,), "QLinearSoftmax": (2048, 128)}
_QUANTIZATION = {"x": (0.0537, 140), "y": (1 / 256, 0)}


def model(operator: str, shape: Sequence[int]) -> onnx.ModelProto:
    """One of ONNX Runtime's operators for a uint8 tensor.

    Parameters
    ----------
    operator : str
        As in ``SHAPES``.
    shape : sequence of int
    """
    constants = []
    for name, (scale, zero) in _QUANTIZATION.items():
        constants.append(numpy_helper.from_array(np.array(scale, np.float32), f"{name}_scale"))
        constants.append(numpy_helper.from_array(np.array(zero, np.uint8), f"{name}_zero"))
    softmax = operator == "QLinearSoftmax"
    options: dict[str, Any] = {"axis": -1, "opset": 13} if softmax else {}
    inputs = ["x", *(constant.name for constant in constants)]
    node = helper.make_node(operator, inputs, ["y"], domain="com.microsoft", **options)
    x, y = (helper.make_tensor_value_info(n, TensorProto.UINT8, list(shape)) for n in "xy")
    graph = helper.make_graph([node], operator, [x], [y], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def table(elements: int, on: tvm.target.Target) -> tvm.tirx.PrimFunc:
    """The scheduled kernel of a quantized sigmoid, which is a table."""
    with on:
        built = Pipeline.of(on).upto("schedule")(import_model(model("QLinearSigmoid", (elements,))))
    (made,) = (f for f in built.functions.values() if isinstance(f, tvm.tirx.PrimFunc))
    return made


def _arguments(elements: int) -> list[np.ndarray]:
    """Random bytes for a tensor and a table."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, n).astype(np.uint8) for n in (elements, 256)]


def _clock(elements: int, on: tvm.target.Target) -> Clock:
    function = table(elements, on)
    arrays = [*_arguments(elements), np.empty(elements, np.uint8)]
    return kernel_clock(function, arrays, on)


def nanoseconds(rounds: int) -> dict[str, float]:
    """Nanoseconds for each element of a table by target."""
    clocks = {(name, n): _clock(n, target(name)) for name in HERE for n in (SMALL, LARGE)}
    timers = {f"{name} {n}": Timer(clock) for (name, n), clock in clocks.items()}
    least = {name: min(each) for name, each in interleave(timers, rounds).items()}
    return {
        name: (least[f"{name} {LARGE}"] - least[f"{name} {SMALL}"]) / (LARGE - SMALL) * 1e9
        for name in HERE
    }


def instructions(name: str) -> float:
    """Instructions for each element of a table on an emulated CPU.

    Raises
    ------
    QuakeError
        If QEMU or a compiler for the CPU is missing.
    """
    on = target(name)
    counted = {}
    with tempfile.TemporaryDirectory() as folder:
        for elements in (SMALL, LARGE):
            function = table(elements, on)
            library = kernel.export({"table": function}, on, Path(folder) / f"{elements}.so")
            result = [((elements,), "uint8")]
            executed = count.execution(library, "table", _arguments(elements), result, on)
            counted[elements] = executed.instructions
    return (counted[LARGE] - counted[SMALL]) / (LARGE - SMALL)


def beside(operator: str, rounds: int) -> tuple[float, float]:
    """Seconds of a call of an operator: here, and in ONNX Runtime."""
    given = model(operator, SHAPES[operator])
    x = np.random.default_rng(0).integers(0, 256, SHAPES[operator]).astype(np.uint8)
    own = compiler.compile(given, method="quake2")
    session = onnx_session(given)
    import onnxruntime as ort

    binding = session.io_binding()
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
    binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_numpy(np.empty_like(x)))
    ours = evaluator_clock(lambda number: own.benchmark({"x": x}, number=number, repeat=1))
    clocks = {"here": ours, "there": cpu_clock(lambda: session.run_with_iobinding(binding))}
    timed = interleave({name: Timer(clock) for name, clock in clocks.items()}, rounds)
    return min(timed["here"]), min(timed["there"])


def alone(rounds: int) -> list[str]:
    """The rows of the first table. Raises QuakeError as :func:`instructions`."""
    rows = ["| target | a table of 256 entries, for each element |", "|---|---|"]
    rows += [f"| {name} | {value:.4f} ns |" for name, value in nanoseconds(rounds).items()]
    rows += [f"| {name} | {instructions(name):.2f} instructions |" for name in ARM]
    return rows


def together(rounds: int) -> list[str]:
    """The rows of the second table."""
    rows = [
        "| operator | shape | here, ns an element | ONNX Runtime | ratio |",
        "|---|---|---|---|---|",
    ]
    for operator, shape in SHAPES.items():
        here, there = (each / np.prod(shape) * 1e9 for each in beside(operator, rounds))
        size = "x".join(map(str, shape))
        rows.append(f"| {operator} | {size} | {here:.3f} | {there:.3f} | {there / here:.1f} |")
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    text = "\n".join([*alone(options.rounds), "", *together(options.rounds)])
    print(text)
    if options.page:
        write_section(options.page, "tables", text)


if __name__ == "__main__":
    main()
