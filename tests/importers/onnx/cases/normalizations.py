"""Normalizations, Dropout."""

import numpy as np

from .case import Case, K, c, f, s


def normalizations() -> list[Case]:
    x = f(2, 4, 3, 5)
    half, wide = f(2, 4, 3, 5, dtype="float16"), f(2, 4, 3, dtype="float64")
    positive = np.abs(f(4)) + 0.5
    cases = [
        c("BatchNormalization", x, f(4), f(4), f(4), positive, epsilon=0.1, momentum=0.5),
        c("BatchNormalization", f(3, 4), f(4), f(4), f(4), positive),
        c("BatchNormalization", f(3, 4, 5), f(4), f(4), f(4), positive),
        c("InstanceNormalization", x, f(4), f(4), epsilon=0.1),
        c("InstanceNormalization", f(2, 3, 7), f(3), f(3)),
        c("LRN", x, size=3, alpha=0.3, beta=0.6, bias=1.5),
        c("LpNormalization", x),
        c("LpNormalization", x, axis=1, p=1),
        c("MeanVarianceNormalization", x, rtol=1e-4),
        c("MeanVarianceNormalization", x, axes=[0, 1], rtol=1e-4),
        c("GroupNormalization", x, f(2), f(2), num_groups=2, epsilon=0.1, since=18, until=20),
        c("GroupNormalization", half, half[0, :2, 0, 0], half[1, :2, 0, 0], num_groups=2, until=20),
        c("GroupNormalization", wide, wide[0, :2, 0], wide[1, :2, 0], num_groups=2, until=20),
        c("GroupNormalization", x, f(4), f(4), num_groups=2, epsilon=0.1, since=21),
        c("RMSNormalization", x, f(5), epsilon=0.1),
        c("RMSNormalization", x, f(3, 5), axis=-2, stash_type=1),
        c("RMSNormalization", x, f(5), axis=1),
        c("RMSNormalization", x, f(3, 1), axis=2),
        c("Dropout", x),
        c("Dropout", x, ratio=0.9, until=11),
        c("Dropout", x, s(0.9)),
        c("Dropout", x, s(0.5), K(np.array(False))),
        c("Dropout", x, s(0.5), seed=3, outputs=2),
        c("Dropout", f(3), outputs=2, since=12),
    ]
    for shape, axis in (
        ((5,), -1),
        ((3, 5), 2),
        ((3, 5), -2),
        ((4, 3, 5), 1),
        ((5,), 2),
        ((3, 1), 2),
        ((1,), -1),
    ):
        cases += [
            c("LayerNormalization", x, f(*shape), f(*shape), axis=axis, epsilon=0.1),
            c("LayerNormalization", x, f(*shape), axis=axis, outputs=3),
        ]
    cases += [c("LayerNormalization", x, f(5), f(3, 5), axis=-2)]
    return cases
