"""Graphs of Dynamo whose sizes vary from the start, where Python's floats are arguments."""

import warnings

import pytest

torch = pytest.importorskip("torch")

from quake_tvm.integrations import torch_compile  # noqa: E402
from tests.integrations.backend import OPTIONS, fresh  # noqa: E402, F401

nn = torch.nn


class Scaled(nn.Module):
    """With numbers of Python: a factor, and the epsilon of a norm."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm, self.factor = nn.Linear(8, 8), nn.LayerNorm(8), 0.5

    def forward(self, x):
        return self.norm(self.linear(x)) * self.factor


def compiled(module):
    return torch.compile(module, backend="quake_tvm", dynamic=True, options=OPTIONS)


def test_numbers_of_a_graph_whose_sizes_vary_from_the_start():
    net = Scaled().eval()
    quick = compiled(net)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("error", "quake_tvm leaves")
        for rows, factor in ((3, 0.5), (5, 0.5), (4, 0.75), (3, 0.5)):
            x, net.factor = torch.randn(rows, 8), factor
            torch.testing.assert_close(quick(x), net(x), rtol=1e-5, atol=1e-5)


def test_a_number_that_changes_at_every_call_is_left_to_eager_mode(monkeypatch):
    monkeypatch.setattr(torch_compile, "MOST_NUMBERS", 2)
    net = Scaled().eval()
    quick = compiled(net)
    x, said = torch.randn(3, 8), []
    for step in range(4):
        net.factor = 1 + step / 7
        with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.testing.assert_close(quick(x), net(x), rtol=1e-5, atol=1e-5)
        said += [str(warning.message) for warning in caught]
    assert sum("a number in it" in line for line in said) == 1


def test_modules_that_share_a_graph_do_not_share_the_limit(monkeypatch):
    monkeypatch.setattr(torch_compile, "MOST_NUMBERS", 2)
    layers = [Scaled().eval() for _ in range(4)]
    quick, x = [compiled(layer) for layer in layers], torch.randn(3, 8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("error", "quake_tvm leaves")
        for one, layer in zip(quick, layers, strict=True):
            torch.testing.assert_close(one(x), layer(x), rtol=1e-5, atol=1e-5)


def test_a_tensor_without_axes_is_an_input():
    class Shifted(nn.Module):
        def forward(self, x, shift):
            return nn.functional.gelu(x) + shift

    quick = compiled(Shifted())
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("error", "quake_tvm leaves")
        for n in range(3):
            x, shift = torch.randn(n + 2, 8), torch.tensor(n / 2)
            wanted = nn.functional.gelu(x) + shift
            torch.testing.assert_close(quick(x, shift), wanted, rtol=1e-5, atol=1e-5)
