"""Tensors that are created from numbers have the bits that eager gives."""

import numpy as np

import quake_tvm

from .programs import Call, torch

TYPES = torch.int8, torch.int64, torch.float32, torch.float64


def spaced(x):
    """Ends that are no integers, and places that come out as integers only before rounding."""
    ends = (23.67, -49.9, 58), (0.5, 3.5, 5), (0, 1, 7), (7, 7, 1), (1, 2, 0), (5, -100, 121)
    lines = [torch.linspace(*given, dtype=t) for given in ends for t in TYPES]
    scales = [
        torch.logspace(*g, base=b, dtype=t)
        for g in ((0.7, 2, 6), (-1, 1.5, 9))
        for b in (10, 2.5)
        for t in TYPES
    ]
    return (x, *lines, *scales)


def test_spaced_numbers():
    x = torch.ones(2)
    model = quake_tvm.compile(torch.export.export(Call(spaced), (x,)))
    for got, expected in zip(model.run(x.numpy()), spaced(x), strict=True):
        assert got.dtype == expected.numpy().dtype
        np.testing.assert_array_equal(got, expected.numpy())


def test_spaced_numbers_between_computed_ends():
    def ends(x):
        return torch.linspace(x, 5, 4), torch.linspace(-1, x, 6), torch.logspace(x, 2, 3)

    x = torch.tensor(1.5)
    model = quake_tvm.compile(torch.export.export(Call(ends), (x,)))
    for got, expected in zip(model.run(x.numpy()), ends(x), strict=True):
        np.testing.assert_allclose(got, expected.numpy(), rtol=1e-6)
