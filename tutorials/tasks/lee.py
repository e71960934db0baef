"""Lee's fifty news texts: cosines of embeddings against the similarity that people gave."""

import numpy as np

import model_data

from .evaluation import Result, correlation
from .features import METHODS
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


def evaluate() -> list[Result]:
    """Pearson's correlation over the 1,225 pairs."""
    texts, judgements = read()
    features = {method: embed(TASK, texts, method) for method in METHODS}
    return [correlation(TASK, MODEL, features, judgements)]
