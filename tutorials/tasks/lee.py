"""Lee's fifty news texts: cosines of embeddings against how similar people found each two."""

import numpy as np

import model_data

from .evaluation import Result, correlation
from .features import METHODS
from .texts import MODEL, embed

TASK = "Lee similarity"


def read() -> tuple[list[str], np.ndarray]:
    """The texts, and people's judgements ``(50, 50)`` from 0 to 1.

    Raises
    ------
    DataError
        If they cannot be had.
    """
    texts = model_data.lee_documents().read_text(encoding="latin-1").splitlines()
    upper = np.triu(np.loadtxt(model_data.lee_similarities()), 1)  # the rest is not filled in
    return texts, upper + upper.T + np.eye(len(texts))


def evaluate() -> list[Result]:
    """Pearson's correlation over the 1,225 pairs."""
    texts, judgements = read()
    features = {method: embed(TASK, texts, method) for method in METHODS}
    return [correlation(TASK, MODEL, features, judgements)]
