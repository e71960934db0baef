"""Classifiers of features, trained on the exact model's features. Knows no rung."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

Predict = Callable[[np.ndarray], np.ndarray]


def logistic_regression(features: np.ndarray, labels: np.ndarray) -> Predict:
    """Logistic regression with scikit-learn's regularization."""
    return LogisticRegression(max_iter=2000).fit(features, labels).predict


def nearest(features: np.ndarray, labels: np.ndarray) -> Predict:
    """Nearest neighbour by cosine."""
    return KNeighborsClassifier(1, metric="cosine").fit(features, labels).predict
