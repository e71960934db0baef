"""Compiles architectures of transformers and timm, and compares them with eager.

python -m tests.zoo [--jobs N] [model ...]
"""

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

import quake_tvm

from ..fuzz.forked import in_children
from ..torch_operators.preload import preload
from .page import write
from .timm_models import TIMM
from .transformers_models import TRANSFORMERS

MODELS = {
    **{f"transformers {name}": build for name, build in TRANSFORMERS.items()},
    **{f"timm {name}": build for name, build in TIMM.items()},
}
_DEADLINE = 900.0
_TOLERANCE = 1e-3  # of the largest element of an output


class _Tensors(torch.nn.Module):
    """A model whose arguments and results are tensors in a fixed order."""

    def __init__(self, model: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        results = self.model(**dict(zip(self.names, inputs, strict=True)))
        if hasattr(results, "to_tuple"):
            results = results.to_tuple()
        return [x for x in pytree.tree_leaves(results) if isinstance(x, torch.Tensor)]


def _by_export(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    return quake_tvm.compile(torch.export.export(model, inputs), method="exact")


def _by_onnx(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(model, inputs, path, dynamo=True, verbose=False)
        return quake_tvm.compile(path, method="exact")


ROADS: dict[str, Callable] = {"torch.export": _by_export, "torch.onnx": _by_onnx}


def _judged(name: str) -> Iterator[str]:
    """The verdict on each road, as JSON; the second road only where the first refuses."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    built, given = MODELS[name]()
    model, inputs = _Tensors(built.eval(), list(given)).eval(), tuple(given.values())
    with torch.no_grad():
        expected = [x.numpy() for x in model(*inputs)]
        for road, compile in ROADS.items():
            try:
                compiled = compile(model, inputs)
            except quake_tvm.QuakeError as error:
                outcome = f"refused: {error}" if "\n" not in str(error) else f"fault: {error}"
            except Exception as error:  # of the export
                reason = (str(error).strip().splitlines() or [""])[0]
                outcome = f"not exported: {type(error).__name__}: {reason[:120]}"
            else:
                got = compiled.run(*[x.numpy() for x in inputs])
                outcome = _difference(got, expected) or "right"
            yield json.dumps([road, outcome])
            if outcome == "right":
                return


def _difference(got: list[np.ndarray], expected: list[np.ndarray]) -> str:
    if [x.shape for x in got] != [x.shape for x in expected]:
        return f"wrong: shapes {[x.shape for x in got]}, not {[x.shape for x in expected]}"
    for one, other in zip(got, expected, strict=True):
        if not one.size:
            continue
        scale = np.abs(other[np.isfinite(other)]).max(initial=1e-6) * _TOLERANCE
        if not np.allclose(one, other, 0, scale, equal_nan=True):
            return f"wrong: by {np.abs(one - other).max():.3g} of {scale / _TOLERANCE:.3g}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="model")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    names = [n for n in MODELS if not given.names or any(part in n for part in given.names)]
    verdicts: dict[str, dict[str, str]] = {}
    preload()
    for ended in in_children(_judged, names, given.jobs, _DEADLINE):
        found = dict(json.loads(line) for line in ended.lines if line.startswith("["))
        if ended.death:
            found["torch.export" if not found else "torch.onnx"] = f"fault: {ended.death}"
        verdicts[ended.item] = found
        for road, outcome in found.items():
            print(f"{ended.item:34} {road:13} {outcome[:400]}", flush=True)
    if not given.names:
        write(verdicts)
    return any(v.startswith(("wrong", "fault")) for one in verdicts.values() for v in one.values())


if __name__ == "__main__":
    sys.exit(main())
