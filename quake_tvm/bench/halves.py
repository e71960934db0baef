"""Kernels of tensors in half precision, alone: ``python -m quake_tvm.bench.halves``.

This library beside ONNX Runtime, OpenVINO and PyTorch, each with inputs and results of the format,
and beside a copy of such a tensor. With ``--page docs/benchmarks/precision.md`` it writes the table
to that page. Times are CPU seconds of this process, which has one thread; all take turns, and the
least of all rounds counts. Knows no schedule.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx

from quake_tvm import compiler
from quake_tvm.numerics.number_formats import HALVES
from quake_tvm.support.timing import Clock, Timer, cpu_clock, evaluator_clock, interleave

from .cases import Case, kernels
from .one_thread import onnx_session
from .printed_table import print_table
from .runtimes import Unavailable

PROGRAM = "python -m quake_tvm.bench.halves"
METHODS = "quake2", "quake3"
ROUNDS = 15
# This library's calls for one of the others: a turn begins with a copy of the input.
MORE = 8
KERNELS = "softmax", "gelu", "silu", "tanh"
# Larger tensors measure the memory, smaller ones the call.
LEAST, MOST = 1 << 17, 1 << 19
_ONNX = {"float16": onnx.TensorProto.FLOAT16, "bfloat16": onnx.TensorProto.BFLOAT16}
_OPENVINO = {"float16": "f16", "bfloat16": "bf16"}
COPY = "copy"


def chosen() -> list[Case]:
    """The kernels, of a size that fits the second-level cache."""
    return [case for case in kernels(KERNELS) if LEAST <= (case.elements or 0) <= MOST]


def in_format(model: onnx.ModelProto, dtype: str) -> onnx.ModelProto:
    """The model, which has no constants, with inputs and outputs of a format."""
    own = onnx.ModelProto()
    own.CopyFrom(model)
    for value in (*own.graph.input, *own.graph.output):
        value.type.tensor_type.elem_type = _ONNX[dtype]
    return own


def _copy(case: Case, x: np.ndarray, dtype: str) -> Clock:
    result = np.empty_like(x.view(np.uint16))
    return cpu_clock(lambda: np.copyto(result, x.view(np.uint16)))


def _quake(method: str, case: Case, x: np.ndarray, dtype: str) -> Clock:
    model = compiler.compile(in_format(case.model, dtype), method=method)

    clock = evaluator_clock(lambda calls: model.benchmark({"x": x}, number=calls, repeat=1))
    return lambda number: clock(number * MORE)


def _onnx_runtime(case: Case, x: np.ndarray, dtype: str) -> Clock:
    if dtype == "bfloat16":
        raise Unavailable("ONNX Runtime has no kernels of bfloat16 for CPUs")
    session = onnx_session(in_format(case.model, dtype))
    import onnxruntime as ort

    binding = session.io_binding()
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
    binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_numpy(np.empty_like(x)))
    return cpu_clock(lambda: session.run_with_iobinding(binding))


def _openvino(case: Case, x: np.ndarray, dtype: str) -> Clock:
    try:
        import openvino as ov
    except ImportError:
        raise Unavailable("not installed: pip install openvino") from None
    core = ov.Core()
    name = _OPENVINO[dtype]
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": name,
        "ENABLE_CPU_PINNING": False,
    }
    model = core.read_model(in_format(case.model, dtype).SerializeToString())
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    tensor = ov.Tensor(getattr(ov.Type, name), ov.Shape(list(x.shape)))
    tensor.data.view(np.uint16)[:] = x.view(np.uint16)
    request.set_tensor("x", tensor)
    return cpu_clock(lambda: request.infer(share_outputs=True))


def _torch(case: Case, x: np.ndarray, dtype: str) -> Clock:
    try:
        import torch
    except ImportError:
        raise Unavailable("not installed: pip install torch") from None
    assert case.torch is not None  # every kernel has one
    torch.set_num_threads(1)
    function = case.torch(torch)
    tensor = torch.from_numpy(x.view(np.uint16)).view(getattr(torch, dtype))

    def call() -> None:
        with torch.inference_mode():
            function(tensor)

    return cpu_clock(call)


OTHERS: Mapping[str, Callable[[Case, np.ndarray, str], Clock]] = {
    "ONNX Runtime": _onnx_runtime,
    "OpenVINO": _openvino,
    "PyTorch": _torch,
}


def measure(case: Case, dtype: str, rounds: int) -> dict[str, float]:
    """Seconds of a call by contender, without those that cannot take part."""
    shape = tuple(int(n) for n in case.shape.split("x"))
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    clocks = {COPY: _copy(case, x, dtype)}
    clocks |= {method: _quake(method, case, x, dtype) for method in METHODS}
    for name, contender in OTHERS.items():
        with suppress(Unavailable):
            clocks[name] = contender(case, x, dtype)
    timed = interleave({name: Timer(clock) for name, clock in clocks.items()}, rounds)
    return {name: min(each) for name, each in timed.items()}


HEADER = (
    f"| format | kernel | shape | {COPY} | "
    + " | ".join((*METHODS, *OTHERS))
    + " | best other to quake2 | quake2 to copy |"
)


def line(case: Case, dtype: str, seconds: Mapping[str, float]) -> str:
    """The row of a kernel: nanoseconds for each element."""

    def nanoseconds(name: str) -> str:
        return f"{seconds[name] / (case.elements or 1) * 1e9:.3f}" if name in seconds else ""

    own, others = seconds[METHODS[0]], [seconds[name] for name in OTHERS if name in seconds]
    cells = [dtype, case.name, case.shape, *map(nanoseconds, (COPY, *METHODS, *OTHERS))]
    cells += [f"{min(others) / own:.1f}" if others else "", f"{own / seconds[COPY]:.1f}"]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each row, since it takes long."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("kernels", nargs="*", help="all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    wanted = [case for case in chosen() if case.name in (options.kernels or [case.name])]
    rows = (
        line(case, dtype, measure(case, dtype, options.rounds))
        for dtype in sorted(HALVES)
        for case in wanted
    )
    print_table(HEADER, rows, options.page, "halves")


if __name__ == "__main__":
    main()
