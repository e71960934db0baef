"""Reuters-R8: 2,189 news texts of eight categories. Heads are trained on 5,485 others."""

from collections.abc import Mapping

import numpy as np

import model_data

from .builds import EXACT, Build
from .evaluation import Result, accuracy
from .heads import logistic_regression, nearest
from .texts import MODEL, embed

TASK = "Reuters-R8"


def read(split: str) -> tuple[list[str], np.ndarray]:
    """Texts and categories of ``"train"`` or ``"test"``.

    Raises
    ------
    DataError
        If they are not available.
    """
    lines = model_data.reuters(split).read_text(encoding="utf-8").splitlines()[4:]  # 4 header lines
    labels, texts = zip(*(line.split("\t", 1) for line in lines), strict=True)
    return list(texts), np.array(labels)


def evaluate(ways: Mapping[str, Build]) -> list[Result]:
    """The accuracy of logistic regression and of the nearest neighbour."""
    texts, labels = read("train")
    trained = embed(f"{TASK}, training", texts, EXACT)
    heads = {
        "logistic regression": logistic_regression(trained, labels),
        "1-NN": nearest(trained, labels),
    }
    texts, labels = read("test")
    features = {way: embed(f"{TASK}, {way}", texts, build) for way, build in ways.items()}
    return [
        accuracy(TASK, MODEL, name, features, predict, labels) for name, predict in heads.items()
    ]
