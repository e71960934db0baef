"""Compile each form of each model, and compare it with the model as it was exported.

python -m tests.importers.onnx.optimised [model ...]
"""

import json
import logging
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.transformers import float16, optimizer

import quake_tvm

from ....fuzz.forked import in_children
from ....torch_operators.preload import preload
from .models import HEADS, WIDTH, models
from .page import write

_DEADLINE = 1200.0
# Of the largest element of an output.
_TOLERANCES = {"float32": 1e-4, "float16": 2e-2}
LEVELS = ("BASIC", "EXTENDED", "LAYOUT", "ALL")


def _by_runtime(level: str) -> Callable[[Mapping[str, Path], str, Path, str], None]:
    def optimise(paths: Mapping[str, Path], precision: str, made: Path, _: str) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = getattr(
            onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}"
        )
        options.optimized_model_filepath = str(made)
        onnxruntime.InferenceSession(
            str(paths[precision]), options, providers=["CPUExecutionProvider"]
        )

    return optimise


def _by_tool(paths: Mapping[str, Path], precision: str, made: Path, kind: str) -> None:
    found = optimizer.optimize_model(
        str(paths["float32"]), kind, num_heads=HEADS, hidden_size=WIDTH, opt_level=0
    )
    if precision == "float16":
        found.convert_float_to_float16(keep_io_types=True)
    found.save_model_to_file(str(made))


FORMS = {**{level.lower(): _by_runtime(level) for level in LEVELS}, "tool": _by_tool}


def _exported(name: str, folder: Path) -> dict[str, Path]:
    """The model's file in each precision."""
    paths = {precision: folder / f"{precision}.onnx" for precision in _TOLERANCES}
    model = models()[name]
    torch.onnx.export(
        model.build().eval(),
        tuple(model.inputs.values()),
        paths["float32"],
        input_names=list(model.inputs),
        dynamic_axes=model.axes,
        opset_version=17,
        dynamo=False,
    )
    half = float16.convert_float_to_float16(onnx.load(paths["float32"]), keep_io_types=True)
    onnx.save(half, paths["float16"])
    return paths


def _judged(name: str) -> Iterator[str]:
    """The verdict on each form in each precision, with its fused operators, as JSON."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    model = models()[name]
    feeds = {key: value.numpy() for key, value in model.inputs.items()}
    with tempfile.TemporaryDirectory() as place:
        paths = _exported(name, Path(place))
        session = onnxruntime.InferenceSession(
            str(paths["float32"]), providers=["CPUExecutionProvider"]
        )
        expected = session.run(None, feeds)
        for form, optimise in FORMS.items():
            for precision in paths:
                made = Path(place) / f"{form}_{precision}_optimised.onnx"
                optimise(paths, precision, made, model.kind)
                outcome = _outcome(made, feeds, expected, _TOLERANCES[precision])
                yield json.dumps([form, precision, outcome, _fused(made)])


def _outcome(
    path: Path, feeds: dict[str, np.ndarray], expected: list[np.ndarray], tolerance: float
) -> str:
    try:
        shapes = {name: x.shape for name, x in feeds.items()}
        got = quake_tvm.compile(path, method="exact", shapes=shapes).run(feeds)
    except quake_tvm.QuakeError as error:
        return f"refused: {error}"
    for q, y in zip(got, expected, strict=True):
        if q.shape != y.shape:
            return f"wrong: {q.shape}, not {y.shape}"
        if not np.allclose(q, y, 0, tolerance * np.abs(y).max()):
            return f"wrong: by {np.abs(q - y).max():.3g} of {np.abs(y).max():.3g}"
    return "right"


def _fused(path: Path) -> list[str]:
    """The operators of ONNX Runtime in a file, with their numbers."""
    nodes = onnx.load(path, load_external_data=False).graph.node
    count = Counter(n.op_type for n in nodes if n.domain.startswith("com.microsoft"))
    return [f"{operator} {n}" if n > 1 else operator for operator, n in sorted(count.items())]


def main() -> int:
    names = [n for n in models() if len(sys.argv) < 2 or any(w in n for w in sys.argv[1:])]
    rows = []
    preload()
    for ended in in_children(_judged, names, 1, _DEADLINE):
        found = [json.loads(line) for line in ended.lines if line.startswith("[")]
        if ended.death:
            found.append(["-", "-", f"wrong: {ended.death.strip().splitlines()[-1]}", []])
        for form, precision, outcome, fused in found:
            rows.append((ended.item, form, precision, outcome, fused))
            print(*rows[-1][:4], ", ".join(fused), sep=" | ", flush=True)
    if len(sys.argv) < 2:
        write(rows)
    return any(row[3].startswith("wrong") for row in rows)


if __name__ == "__main__":
    sys.exit(main())
