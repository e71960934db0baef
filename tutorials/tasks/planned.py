"""Plans of the tasks' models for error budgets, tested on inputs that they have not seen.

Knows no rung and no precision: the planner does.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from rich.progress import Progress

import model_data
import quake_tvm
from quake_tvm.planning.metrics import Metric, Outputs, named
from sentence_encoder import without_warning

from . import file_types, minilm, reuters
from .builds import EXACT
from .features import features, steps
from .heads import logistic_regression
from .texts import BATCH, tokens

Inputs = dict[str, np.ndarray]
# The budgets: the relative error of the outputs, and the share of answers that change.
BUDGETS = {"relative": 1e-3, "answers": 1e-3}
# That of plans that also choose precisions: the rounding to them adds more than any rung.
WIDER_BUDGETS = {"relative": 5e-2}
# Tokens of a text, the number of texts or files for a plan, and the number of files that test it.
LENGTH, CALIBRATION, UNSEEN_FILES = 64, 240, 3000


@dataclass(frozen=True)
class Case:
    """A model with inputs for planning, inputs for testing, and a function for its answers."""

    name: str
    model: Any
    calibration: list[Inputs]
    unseen: list[Inputs]
    answers: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Kept:
    """The result of a plan.

    Attributes
    ----------
    model, metric : str
    budget, predicted, calibrated, unseen : float
        Values of the metric: predicted and measured on the calibration inputs, and measured on the
        unseen inputs.
    inputs, others : int
        The number of calibration and of unseen texts or files.
    runtime : float
        The metric of ONNX Runtime's outputs on the unseen inputs: the effect of rounding alone.
    rungs : dict of str to int
        ``"softmax on quake2"`` or ``"product in bfloat16"``, and the number of such sites.
    predicted_milliseconds, milliseconds : float
        Of a call.
    rival : str
        The fastest single rung within the budget, with all products in one precision.
    rival_milliseconds : float
    target : str
    threads : int
    verdict : str
    """

    model: str
    metric: str
    budget: float
    predicted: float
    calibrated: float
    unseen: float
    inputs: int
    others: int
    runtime: float
    rungs: dict[str, int]
    predicted_milliseconds: float
    milliseconds: float
    rival: str
    rival_milliseconds: float
    target: str
    threads: int
    verdict: str


def batches(inputs: Inputs) -> list[Inputs]:
    """Full batches. Remaining inputs are dropped."""
    count = len(next(iter(inputs.values())))
    return [
        {name: array[start : start + BATCH] for name, array in inputs.items()}
        for start in range(0, count - BATCH + 1, BATCH)
    ]


def minilm_l6() -> Case:
    """Reuters-R8 with MiniLM-L6."""
    return _news("MiniLM-L6, Reuters-R8", minilm.model(BATCH, LENGTH))


def minilm_l3() -> Case:
    """Reuters-R8 with MiniLM-L3, whose last output is a text's embedding."""
    model = onnx.load(model_data.sentence_encoder())
    del model.graph.output[:-1]
    return _news("MiniLM-L3, Reuters-R8", model)


def _news(name: str, model: onnx.ModelProto) -> Case:
    """A case of news texts. Logistic regression on exact embeddings gives the answers."""
    (train, labels), (test, _) = reuters.read("train"), reuters.read("test")
    trained, unseen = tokens(train, LENGTH), tokens(test, LENGTH)
    embedded = features("embedding the training texts", model, EXACT, trained, BATCH)
    drawn = np.random.default_rng(0).permutation(len(train))[:CALIBRATION]
    calibration = {key: array[drawn] for key, array in trained.items()}
    answers = logistic_regression(embedded, labels)
    return Case(name, model, batches(calibration), batches(unseen), answers)


def magika() -> Case:
    """File types with Magika, for all files of this machine up to the limits."""
    paths = file_types.paths()
    drawn = np.random.default_rng(0).permutation(len(paths))
    rows = [file_types.ends(paths[n].read_bytes()) for n in drawn[: CALIBRATION + UNSEEN_FILES]]
    inputs = {"bytes": np.array(rows, np.int32)}
    calibration = {"bytes": inputs["bytes"][:CALIBRATION]}
    unseen = {"bytes": inputs["bytes"][CALIBRATION:]}
    model = model_data.file_classifier()
    answers = lambda scores: scores.argmax(axis=1)  # noqa: E731
    return Case("Magika, files", model, batches(calibration), batches(unseen), answers)


CASES = {"minilm_l6": minilm_l6, "minilm_l3": minilm_l3, "magika": magika}


def evaluate(
    case: Case, budgets: Mapping[str, float], precisions: Sequence[str] = ("float32",)
) -> list[Kept]:
    """Plan for each budget, and measure the plans on the unseen inputs."""

    def changed(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
        pairs = zip(expected, found, strict=True)
        return float(np.mean([case.answers(a[0]) != case.answers(b[0]) for a, b in pairs]))

    metrics: dict[str, Metric] = {"relative": named("relative")[1], "answers": changed}
    shapes = {name: array.shape for name, array in case.calibration[0].items()}
    expected = _outputs(case, shapes, method="exact")
    runtime = _by_onnx_runtime(case)
    kept = []
    for name, budget in budgets.items():
        with Progress(transient=True) as progress, without_warning("Fast mode segfaults"):
            task = progress.add_task(case.name)
            plan = quake_tvm.plan(
                case.model,
                case.calibration,
                budget,
                metrics[name],
                shapes=shapes,
                precisions=precisions,
                progress=lambda what, done, total, progress=progress, task=task: progress.update(
                    task, description=f"{case.name}: {what}", completed=done, total=total
                ),
            )
        found = _outputs(case, shapes, plan=plan)
        rungs = Counter(f"{site.operator} on {site.method}" for site in plan.sites)
        rungs.update(f"product in {product.precision}" for product in plan.products)
        rival = plan.rival
        kept.append(
            Kept(
                model=case.name,
                metric=name,
                budget=budget,
                predicted=plan.predicted,
                calibrated=plan.measured,
                unseen=metrics[name](expected, found),
                inputs=BATCH * len(case.calibration),
                others=BATCH * len(case.unseen),
                runtime=metrics[name](expected, runtime),
                rungs=dict(rungs),
                predicted_milliseconds=plan.predicted_milliseconds,
                milliseconds=plan.measured_milliseconds,
                rival=rival.name if rival else "",
                rival_milliseconds=rival.milliseconds if rival else 0.0,
                target=plan.target,
                threads=plan.threads,
                verdict=plan.verdict,
            )
        )
    return kept


def _outputs(case: Case, shapes: dict[str, tuple[int, ...]], **options: Any) -> list[Outputs]:
    with without_warning("Fast mode segfaults"):
        model = quake_tvm.compile(case.model, shapes=shapes, **options)
    return [model.run(x)[:1] for x in steps(case.unseen, f"{case.name}: unseen inputs")]


def _by_onnx_runtime(case: Case) -> list[Outputs]:
    model = onnx.load(case.model) if isinstance(case.model, Path) else case.model
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return [session.run(None, x) for x in steps(case.unseen, f"{case.name}: ONNX Runtime")]
