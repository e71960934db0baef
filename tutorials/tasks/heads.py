"""Classifiers over features, trained on those of the exact model. Knows no rung."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

Predict = Callable[[np.ndarray], np.ndarray]


def logistic_regression(features: np.ndarray, labels: np.ndarray) -> Predict:
    """With scikit-learn's regularization."""
    return LogisticRegression(max_iter=2000).fit(features, labels).predict


def nearest(features: np.ndarray, labels: np.ndarray) -> Predict:
    """The label of the nearest by cosine."""
    return KNeighborsClassifier(1, metric="cosine").fit(features, labels).predict
