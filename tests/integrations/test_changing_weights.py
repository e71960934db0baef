"""Weights of modules under torch.compile that change after the first call."""

from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch")

import quake_tvm  # noqa: E402
from quake_tvm.integrations import torch_compile  # noqa: E402
from tests.integrations.backend import OPTIONS, compiled, fresh  # noqa: E402, F401

nn = torch.nn


def test_weights_that_change():
    net = nn.Linear(8, 8).eval()
    quick, x = compiled(net), torch.randn(2, 8)
    with torch.no_grad():
        quick(x)
        net.weight.mul_(3)
        torch.testing.assert_close(quick(x), net(x))
        net.weight = nn.Parameter(torch.randn(8, 8))
        torch.testing.assert_close(quick(x), net(x))
        net.load_state_dict(nn.Linear(8, 8).state_dict())
        torch.testing.assert_close(quick(x), net(x))


@pytest.fixture
def compilations(monkeypatch):
    """The programs that are compiled."""
    programs = []

    def counted(program, **options):
        programs.append(program)
        return quake_tvm.compile(program, **options)

    monkeypatch.setattr(torch_compile, "compile", counted)
    return programs


def test_weights_of_inference_mode():
    with torch.inference_mode():
        net = nn.Linear(8, 8).eval()
        quick, x = compiled(net), torch.randn(2, 8)
        with pytest.warns(UserWarning, match="compares all weights .* outside"):
            quick(x)
        net.weight.mul_(3)
        torch.testing.assert_close(quick(x), net(x))


def test_weights_that_torch_counts_are_not_read_at_a_call(monkeypatch):
    net = nn.Linear(8, 8).eval()
    quick, x = compiled(net), torch.randn(2, 8)
    with torch.inference_mode():
        quick(x)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "equal", None)
            quick(x)


def test_weights_with_other_memory():
    net = nn.Linear(8, 8).eval()
    quick, x = compiled(net), torch.randn(2, 8)
    with torch.no_grad():
        quick(x)
        net.weight.data = torch.randn(8, 8)
        torch.testing.assert_close(quick(x), net(x))


def test_statistics_of_a_batch_norm():
    net = nn.BatchNorm1d(4).eval()  # torch does not count writes of the statistics
    quick, x = compiled(net), torch.randn(9, 4)
    with torch.no_grad():
        quick(x)
        net.train()(x)
        net.eval()
        torch.testing.assert_close(quick(x), net(x))


class _Shifted(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("shift", torch.full((8,), torch.nan))

    def forward(self, x):
        return self.linear(x) + self.shift


def test_a_buffer_that_changes_is_an_input_at_last(compilations):
    net, x = _Shifted().eval(), torch.randn(2, 8)
    quick = compiled(net)
    with torch.no_grad():
        for k in range(4):
            torch.testing.assert_close(quick(x), net(x), equal_nan=True)
            net.shift.fill_(k)
        net.shift = torch.ones(8)
        torch.testing.assert_close(quick(x), net(x))
    assert len(compilations) == 2


def test_modules_of_one_class_keep_their_own_code(compilations):
    nets, x = [_Shifted().eval() for _ in range(3)], torch.randn(2, 8)
    for net in nets:
        net.shift.fill_(1)
        net.compile(backend="quake_tvm", options=OPTIONS)
    with torch.no_grad():
        for net in nets * 2:
            torch.testing.assert_close(net(x), net.linear(x) + 1)
    assert len(compilations) == 3


def test_threads_after_weights_have_changed():
    net, x = nn.Linear(8, 8).eval(), torch.randn(2, 8)
    quick = compiled(net)

    def call(_):
        with torch.no_grad():
            return quick(x)

    call(0)
    with torch.no_grad():
        net.weight.mul_(2)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(call, range(4)):
            torch.testing.assert_close(got, call(0))
    torch.testing.assert_close(call(0), net(x).detach())
