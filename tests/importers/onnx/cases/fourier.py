"""Fourier transforms."""

import numpy as np

from .case import Case, K, c, f, s


def fourier() -> list[Case]:
    real, pairs, signal = f(2, 10, 5, 1), f(2, 10, 5, 2), f(2, 64, 1)
    window = K(np.hanning(16).astype(np.float32))
    return [
        c("DFT", real),
        c("DFT", real, s(8, "int64")),
        c("DFT", pairs, s(16, "int64"), axis=2, until=19),
        c("DFT", pairs, axis=1, inverse=1, until=19),
        c("DFT", pairs, s(7, "int64"), K(np.int64(1)), since=20),
        c("DFT", real, None, K(np.int64(-2)), onesided=1, since=20),
        c("DFT", real, s(9, "int64"), onesided=1),
        c("DFT", f(3, 16, 2), inverse=1),
        c("STFT", signal, s(8, "int64"), window),
        c("STFT", signal, s(8, "int64"), window, s(16, "int64"), onesided=0),
        c("STFT", f(2, 64), s(5, "int64"), None, s(16, "int64")),
        c("STFT", f(1, 65, 2), s(5, "int64"), window, onesided=0),
    ]
