"""The time that the rungs save on the tasks' models, with their errors. Knows no labels."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import model_data
import quake_tvm
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.support.timing import Spread, Timer, interleave
from sentence_encoder import without_warning

from . import minilm
from .builds import RUNGS
from .evaluation import Result
from .features import steps

ROUNDS = 30
# The model to compile, and an input, by the model's name in the results. DINOv2 has its decoder.
Case = tuple[Callable[[], Any], dict[str, np.ndarray]]
_RNG = np.random.default_rng(0)
MODELS: dict[str, Case] = {
    "MiniLM-L6": (
        lambda: minilm.model(1, 128),
        {
            "input_ids": _RNG.integers(1000, 30000, (1, 128)),
            "attention_mask": np.ones((1, 128), np.int64),
        },
    ),
    "DINOv2 ViT-S/14": (
        model_data.image_encoder,
        {"input_image": _RNG.normal(size=(1, 3, 224, 224)).astype(np.float32)},
    ),
    "Magika": (
        model_data.file_classifier,
        {"bytes": _RNG.integers(0, 256, (1, 2048)).astype(np.int32)},
    ),
}


def measure(rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Median milliseconds of a call, by model and method. Each round runs all methods in turn."""
    found = {}
    for name, (source, feeds) in steps(list(MODELS.items()), "measuring"):
        shapes = {key: array.shape for key, array in feeds.items()}
        timers = {}
        for method in RUNGS:
            with without_warning("Fast mode segfaults"):
                model = quake_tvm.compile(source(), method=method, shapes=shapes)
            timers[method] = Timer(
                lambda number, model=model, feeds=feeds: model.benchmark(
                    feeds, number=number, repeat=1
                )[0]
            )
        seconds = interleave(timers, rounds)
        found[name] = {m: 1e3 * Spread.of(values).median for m, values in seconds.items()}
    return found


def draw(
    milliseconds: Mapping[str, Mapping[str, float]], results: Sequence[Result], path: Path
) -> None:
    """One panel a model: 1 - cosine, the mean over a task's items, over milliseconds of a call."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = path.stem
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(milliseconds), figsize=(4 * len(milliseconds), 3.2), squeeze=False
    )
    for panel, (name, taken) in zip(panels[0], milliseconds.items(), strict=True):
        losses = next(result.losses for result in results if result.model == name)
        x = [taken[rung] for rung in METHODS]
        y = [max(1 - losses[rung].cosine_mean, 1e-15) for rung in METHODS]
        panel.semilogy(x, y, "o", color="C0")
        for rung, at in zip(METHODS, zip(x, y, strict=True), strict=True):
            panel.annotate(rung, at, (-5, 2), textcoords="offset points", ha="right", fontsize=8)
        panel.axvline(taken["exact"], color="C3", linestyle="--", label="exact")
        panel.set(title=name, xlabel="milliseconds a call", xlim=(0, None))
        panel.legend(loc="upper left")
    panels[0][0].set_ylabel("1 - cosine to exact features")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
