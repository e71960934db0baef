"""MiniLM-L6 with look-ups in the place of feed-forward layers: two tasks, and its latency.

Each choice of layers is compared with the model itself, and with the model that has nothing in
their place. Knows no training.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle

import numpy as np
import onnx
from onnx import numpy_helper

import quake_tvm
from quake_tvm.lookup.blocks import find
from quake_tvm.lookup.layer import LookupLayer
from quake_tvm.lookup.surgery import replaced
from quake_tvm.support.timing import Clock, Timer, cpu_clock, interleave

from . import lee, minilm, reuters
from .builds import compiled
from .evaluation import Result, accuracy, correlation
from .features import steps
from .heads import logistic_regression
from .texts import MODEL, Change, embed

EXACT = "exact"
BUILD = compiled(method="quake5")
# Tokens of the calls that are timed; each call has other tokens, of so many inputs.
TOKENS, INPUTS, ROUNDS = (1, 16, 128), 16, 9


def look_ups(converted: onnx.ModelProto) -> dict[str, LookupLayer]:
    """The look-ups of a converted model, by the tensor behind the layer."""
    arrays = {c.name: c for c in converted.graph.initializer}
    found = {}
    for node in converted.graph.node:
        if node.op_type not in ("LookupFFN", "ScaledLookupFFN"):
            continue
        name = node.input[0].removesuffix("_z")
        get = {key: numpy_helper.to_array(arrays[f"{name}_{key}"]) for key in _parts(node)}
        tables = get["tables"].astype(np.float32)
        if "scales" in get:
            tables *= get["scales"][:, None]
        found[name.removesuffix("_look_up")] = LookupLayer(
            get["projection"], get["offset"], tables, get["bias"], node.attribute[0].i
        )
    return found


def _parts(node: onnx.NodeProto) -> Sequence[str]:
    return ("projection", "offset", "tables", "bias", *(["scales"] * (len(node.input) == 4)))


def changed(layers: Mapping[str, LookupLayer], numbers: Collection[int], form: str) -> Change:
    """What puts the look-ups of these numbers into a model of any size."""

    def change(model: onnx.ModelProto) -> onnx.ModelProto:
        for block in find(model):
            if block.number in numbers:
                model = replaced(model, block, layers[block.y], form)
        return model

    return change


def evaluate(changes: Mapping[str, Change]) -> list[Result]:
    """Reuters-R8 with logistic regression that was trained on the model's own embeddings, and Lee.

    Parameters
    ----------
    changes : mapping of name to callable
        What is compared with the model.
    """
    texts, labels = reuters.read("train")
    predict = logistic_regression(embed("training", texts, BUILD), labels)
    changes = {EXACT: lambda model: model, **changes}
    texts, labels = reuters.read("test")
    features = {name: embed(name, texts, BUILD, change) for name, change in changes.items()}
    head = "logistic regression"
    found = [accuracy(reuters.TASK, MODEL, head, features, predict, labels)]
    texts, ratings = lee.read()
    features = {name: embed(name, texts, BUILD, change) for name, change in changes.items()}
    return [*found, correlation(lee.TASK, MODEL, features, ratings)]


def latency(changes: Mapping[str, Change]) -> dict[int, dict[str, float]]:
    """CPU milliseconds of a call on this process's threads, by tokens and change: minima."""
    found = {}
    for tokens in steps(TOKENS, "timing"):
        model = minilm.model(1, tokens)
        timers = {name: Timer(_clock(change(model), tokens)) for name, change in changes.items()}
        seconds = interleave(timers, ROUNDS)
        found[tokens] = {name: 1e3 * min(each) for name, each in seconds.items()}
    return found


def _clock(model: onnx.ModelProto, tokens: int) -> Clock:
    random = np.random.default_rng(0)
    mask = np.ones((1, tokens), np.int64)
    calls = cycle(
        [
            {"input_ids": random.integers(1000, 30000, (1, tokens)), "attention_mask": mask}
            for _ in range(INPUTS)
        ]
    )
    built = quake_tvm.compile(model)
    return cpu_clock(lambda: built.run(next(calls)))


def lines(results: Sequence[Result], milliseconds: Mapping[int, Mapping[str, float]]) -> list[str]:
    """The results as tables of Markdown."""
    reuters_r8, lee_similarity = results
    made = [
        "| | cosine, Reuters | Reuters-R8, points | cosine, Lee | Lee correlation, thousandths |",
        "|---|---|---|---|---|",
        f"| the model | 1 | {reuters_r8.exact:.2%} | 1 | {lee_similarity.exact:.4f} |",
    ]
    for name, task in reuters_r8.losses.items():
        other = lee_similarity.losses[name]
        points, thousandths = (
            f"{scale * loss.difference:+.{digits}f} "
            f"[{scale * loss.low:+.{digits}f}, {scale * loss.high:+.{digits}f}]"
            for loss, scale, digits in ((task, 100, 2), (other, 1000, 1))
        )
        cells = name, f"{task.cosine_mean:.3f}", points, f"{other.cosine_mean:.3f}", thousandths
        made.append(f"| {' | '.join(cells)} |")
    names = list(next(iter(milliseconds.values())))
    made += ["", f"| tokens | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for tokens, taken in milliseconds.items():
        made.append(f"| {tokens} | {' | '.join(f'{taken[name]:.2f}' for name in names)} |")
    return made
