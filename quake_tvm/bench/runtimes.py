"""Other runtimes that are measured too, if they are installed.

Each runtime gets its best settings and the same number of threads. If its interface allows it,
inputs and outputs are not copied. It is timed in a loop in Python. A runtime that cannot take part
raises Unavailable; the reason is printed, and the others continue.
"""

import ctypes
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm

from ..support.timing import Clock
from .cases import Case

if TYPE_CHECKING:
    from ..boards.client import Remote
    from ..schedules.records.book import Records


class Unavailable(Exception):
    """Why a contender cannot take part, and how to change that."""


@dataclass(frozen=True)
class Contender:
    """A compiled case.

    Attributes
    ----------
    run : callable
        Returns the outputs.
    clock : Clock
    call : callable
        One call, for clocks that loop in Python.
    lowered : (int, int) or None
        For this library: the number of nonlinearities lowered, and of all.
    export : callable, optional
        For this library and TVM: writes the compiled library to a path.
    """

    run: Callable[[], list[np.ndarray]]
    clock: Clock
    call: Callable[[], object]
    lowered: tuple[int, int] | None = None
    export: Callable[[Path], Any] | None = None


@dataclass(frozen=True)
class Job:
    """A case, imported once, and its inputs.

    On Relax ``exact`` is the case compiled without lowering, and ``records`` are the records that
    this library's builds use. The case is measured on ``board`` if there is one, otherwise here.
    """

    case: Case
    mod: tvm.IRModule
    exact: Any
    feeds: Mapping[str, np.ndarray]
    target: tvm.target.Target
    threads: int
    board: "Remote | None" = None
    records: "Records" = None


def loop(call: Callable[[], Any]) -> Clock:
    """A clock that calls a Python function in a loop."""

    def clock(number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            call()
        return (time.perf_counter() - start) / number

    return clock


def onnx_runtime(job: Job) -> Contender:
    """ONNX Runtime with all optimizations, and with bound inputs and outputs."""
    try:
        import onnxruntime as ort
    except ImportError:
        raise Unavailable("not installed: pip install onnxruntime") from None
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = job.threads
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.log_severity_level = 3  # errors
    session = ort.InferenceSession(
        job.case.model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    outputs = session.run(None, dict(job.feeds))
    binding = session.io_binding()
    for name, array in job.feeds.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
    for spec, array in zip(session.get_outputs(), outputs, strict=True):
        binding.bind_ortvalue_output(spec.name, ort.OrtValue.ortvalue_from_numpy(array))

    def call() -> None:
        session.run_with_iobinding(binding)

    return Contender(lambda: outputs, loop(call), call)


def openvino(job: Job) -> Contender:
    """OpenVINO, optimized for latency in float32, with shared tensors."""
    try:
        import openvino as ov
    except ImportError:
        raise Unavailable("not installed: pip install openvino") from None
    core = ov.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": job.threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # pinning would affect the thread that all contenders run in
    }
    model = core.compile_model(core.read_model(job.case.model.SerializeToString()), "CPU", settings)
    request = model.create_infer_request()
    for name, array in job.feeds.items():
        request.set_tensor(name, ov.Tensor(array, shared_memory=True))

    def call() -> Any:
        return request.infer(share_outputs=True)

    return Contender(lambda: list(call().to_tuple()), loop(call), call)


def _torch(job: Job, prepare: Callable[[Any, Any], Any]) -> Contender:
    if job.case.torch is None:
        raise Unavailable("an ONNX model has no torch module")
    try:
        import torch
    except ImportError:
        raise Unavailable("not installed: pip install torch") from None
    _keep_memory()
    torch.set_num_threads(job.threads)
    function = prepare(torch, job.case.torch(torch))
    tensors = [torch.from_numpy(array) for array in job.feeds.values()]
    inference = torch.inference_mode()
    inferred = inference(function)
    timed = loop(lambda: function(*tensors))
    return Contender(
        lambda: [inferred(*tensors).numpy()],
        lambda number: inference(timed)(number),
        lambda: inferred(*tensors),
    )


def _keep_memory() -> None:
    """Let glibc keep freed memory: torch allocates every output again, the others do not."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def torch_eager(job: Job) -> Contender:
    """PyTorch in its default mode."""
    return _torch(job, lambda torch, function: function)


def torch_compiled(job: Job) -> Contender:
    """torch.compile with max-autotune and frozen weights."""

    def prepare(torch: Any, function: Any) -> Any:
        if not shutil.which(os.environ.get("CXX", "g++")):
            raise Unavailable("no C++ compiler: install g++")
        from torch import _inductor
        from torch._dynamo import config

        config.recompile_limit = 1 << 10  # each case is a new compilation, not a recompilation
        config.accumulated_recompile_limit = 1 << 10
        options = {**_inductor.list_mode_options("max-autotune"), "freezing": True}
        return torch.compile(function, dynamic=False, fullgraph=True, options=options)

    return _torch(job, prepare)


RUNTIMES = {
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
    "PyTorch eager": torch_eager,
    "PyTorch compiled": torch_compiled,
}
