"""Lee's fifty news texts: cosines of embeddings against the similarity that people gave."""

from collections.abc import Mapping

import numpy as np

import model_data

from .builds import Build
from .evaluation import Result, correlation
from .texts import MODEL, embed

TASK = "Lee similarity"


def read() -> tuple[list[str], np.ndarray]:
    """The texts, and people's ratings ``(50, 50)`` from 0 to 1.

    Raises
    ------
    DataError
        If they are not available.
    """
    texts = model_data.lee_documents().read_text(encoding="latin-1").splitlines()
    upper = np.triu(np.loadtxt(model_data.lee_similarities()), 1)  # only the upper half is given
    return texts, upper + upper.T + np.eye(len(texts))


def evaluate(ways: Mapping[str, Build]) -> list[Result]:
    """Pearson's correlation over the 1,225 pairs."""
    texts, judgements = read()
    features = {way: embed(f"{TASK}, {way}", texts, build) for way, build in ways.items()}
    return [correlation(TASK, MODEL, features, judgements)]
