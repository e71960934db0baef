"""One contender of ``make bench-models`` in a process of its own: loads a model, times its calls.

    python tutorials/bench_models_contender.py CONTENDER KIND MODEL THREADS RESULTS.npz

It writes its results to the file and says "ready". Then for each line of its input, a number of
calls, it prints the wall time and the CPU time of them all, in seconds.
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


def quake(path: Path, feeds: Feeds, threads: int, precision: str = "float32") -> Call:
    """This library, on TVM's threads, which are set before it starts."""
    import quake_tvm

    shapes = {name: array.shape for name, array in feeds.items()}
    model = quake_tvm.compile(str(path), method=METHOD, shapes=shapes, precision=precision)
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


CONTENDERS = {"this library": quake, "ONNX Runtime": onnx_runtime, "OpenVINO": openvino}
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
    call = (CONTENDERS | IN_BFLOAT16)[contender](path, feeds, int(threads))
    np.savez(results, *call())
    print("ready", flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            call()
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
