"""Ways to build a model: on a rung, in a precision, or by ONNX Runtime in int8. Knows no task.

The ways of one comparison are a mapping of names to builds. Its first one, ``"exact"``, is what the
others are compared with.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

import quake_tvm
from quake_tvm.numerics.ladder import METHODS
from sentence_encoder import without_warning

Inputs = Mapping[str, np.ndarray]
# A batch's inputs to the model's first output.
Run = Callable[[Inputs], np.ndarray]
# Builds a model for one batch's shapes. Inputs of typical items are for models with convolutions,
# whose bytes have static scales; None for all others.
Build = Callable[[Any, Mapping[str, tuple[int, ...]], Inputs | None], Run]


def compiled(**options: Any) -> Build:
    """This library, with options of :func:`quake_tvm.compile`."""

    def build(model: Any, shapes: Mapping[str, tuple[int, ...]], _: Inputs | None) -> Run:
        with without_warning("Fast mode segfaults"):
            made = quake_tvm.compile(model, shapes=shapes, **options)
        return lambda feeds: made.run(feeds)[0]

    return build


def int8(model: Any, shapes: Mapping[str, tuple[int, ...]], typical: Inputs | None) -> Run:
    """This library: dynamic scales, or static ones if there are typical inputs."""
    if typical is None:
        return compiled(precision="int8")(model, shapes, None)
    with tempfile.TemporaryDirectory() as folder:
        return compiled()(calibrated(model, shapes, typical, Path(folder)), shapes, None)


def onnx_runtime_int8(
    model: Any, shapes: Mapping[str, tuple[int, ...]], typical: Inputs | None
) -> Run:
    """ONNX Runtime: matrix products with dynamic scales, or the file that :func:`int8` has."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if typical is None:
            file = dynamic(model, folder)
        else:
            file = calibrated(model, shapes, typical, folder)
        session = onnxruntime.InferenceSession(file)
    return lambda feeds: session.run(None, dict(feeds))[0]


def calibrated(
    model: Any, shapes: Mapping[str, tuple[int, ...]], typical: Inputs, folder: Path
) -> Path:
    """A QDQ model in the folder. Its scales are from full batches of typical items."""
    size = next(iter(shapes.values()))[0]
    count = len(next(iter(typical.values()))) // size
    calls = [{n: a[k * size :][:size] for n, a in typical.items()} for k in range(count)]
    return quake_tvm.quantize(onnx_file(model, folder), calls, folder / "calibrated.onnx")


def dynamic(model: Any, folder: Path) -> Path:
    """A model in the folder whose matrix products ONNX Runtime has quantized dynamically.

    Weights have a scale for each column and all eight bits. Tables of embeddings stay float32, as
    in this library.
    """
    prepared, made = folder / "prepared.onnx", folder / "dynamic.onnx"
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        quant_pre_process(onnx_file(model, folder), prepared, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            made,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=False,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(before)
    return made


def onnx_file(model: Any, folder: Path) -> Path:
    """The model as an ONNX file: the file that it is, or one in the folder."""
    if isinstance(model, Path):
        return model
    path = folder / "model.onnx"
    if isinstance(model, onnx.ModelProto):
        onnx.save(model, path)
    else:
        import torch

        torch.onnx.export(model, (), path, external_data=False, verbose=False)
    return path


EXACT = compiled(method="exact")
RUNGS: dict[str, Build] = {"exact": EXACT} | {m: compiled(method=m) for m in METHODS}
# Nonlinearities of the precisions are on the default rung.
FORMATS: dict[str, Build] = {
    "exact": EXACT,
    "bfloat16": compiled(precision="bfloat16"),
    "float16": compiled(precision="float16"),
    "int8": int8,
    "ONNX Runtime int8": onnx_runtime_int8,
}
