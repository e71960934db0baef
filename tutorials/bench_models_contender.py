"""One contender of ``make bench-models`` in a process of its own: loads a model, times its calls.

    python tutorials/bench_models_contender.py CONTENDER KIND MODEL THREADS RESULTS.npz

It writes its results to the file and says "ready". Then for each line of its input, a number of
calls, it prints the wall time and the CPU time of them all, in seconds. Builds of this library are
kept on disk for the next run.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from bench_models_list import MODELS

METHOD = "quake4"
Feeds = Mapping[str, np.ndarray]
Call = Callable[[], Sequence[np.ndarray]]


def quake(path: Path, feeds: Feeds, threads: int, **options: str) -> Call:
    """This library, on TVM's threads, which are set before it starts."""
    import quake_tvm

    shapes = {name: array.shape for name, array in feeds.items()}
    chosen = {"method": METHOD, **options}
    model = quake_tvm.compile(str(path), shapes=shapes, cache=True, **chosen)
    given = dict(feeds)
    return lambda: model.run(given)


def onnx_runtime(path: Path, feeds: Feeds, threads: int) -> Call:
    """ONNX Runtime with all optimizations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def openvino(path: Path, feeds: Feeds, threads: int, precision: str = "f32") -> Call:
    """OpenVINO for the latency, with shared inputs and outputs."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({name: openvino.PartialShape(array.shape) for name, array in feeds.items()})
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    given = dict(feeds)

    def call() -> Sequence[np.ndarray]:
        found = request.infer(given, share_inputs=True, share_outputs=True)
        return list(found.values())

    return call


def openvino_avx2(path: Path, feeds: Feeds, threads: int) -> Call:
    """OpenVINO without AVX-512: its kernels are oneDNN's."""
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"  # before it starts
    return openvino(path, feeds, threads)


CONTENDERS = {"this library": quake, "ONNX Runtime": onnx_runtime, "OpenVINO": openvino}
# ONNX Runtime cannot be kept from AVX-512.
IN_AVX2 = {
    "this library, AVX2": partial(quake, target="x86-64-v3"),
    "ONNX Runtime": onnx_runtime,
    "OpenVINO, AVX2": openvino_avx2,
}
RUNGS = {
    name: partial(quake, method=name)
    for name in ("exact", "quake1", "quake2", "quake3", "quake4", "quake5")
}
IN_BFLOAT16 = {
    "float32": quake,
    "bfloat16": partial(quake, precision="bfloat16"),
    "OpenVINO's bfloat16": partial(openvino, precision="bf16"),
}


def main(contender: str, kind: str, name: str, threads: str, results: str) -> None:
    """Load, and answer."""
    os.environ.update(TVM_NUM_THREADS=threads, TVM_BIND_THREADS="0")  # before TVM starts
    published = MODELS[kind][name]
    path = published.path()
    feeds = published.feeds(onnx.load(path), published.shapes[0])
    call = (CONTENDERS | IN_AVX2 | RUNGS | IN_BFLOAT16)[contender](path, feeds, int(threads))
    np.savez(results, *call())
    print("ready", flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            call()
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
