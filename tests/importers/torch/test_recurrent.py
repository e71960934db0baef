"""Recurrent layers and cells of torch, compiled as kernels of their own."""

import copy

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import quake_tvm

STEPS, ROWS, FEATURES, UNITS = 5, 2, 8, 6
X = torch.from_numpy(np.random.default_rng(0).normal(size=(STEPS, ROWS, FEATURES))).float()
H = torch.from_numpy(np.random.default_rng(1).normal(size=(4, ROWS, UNITS))).float()


def flat(values):
    """The tensors of nested tuples."""
    if isinstance(values, torch.Tensor):
        return [values.numpy()]
    return [array for value in values for array in flat(value)]


def check(module, *inputs, dynamic=None, tolerance=2e-6):
    """Compare with torch, and return the compiled model."""
    torch.manual_seed(0)
    module = module.eval()
    program = torch.export.export(module, inputs, dynamic_shapes=dynamic)
    compiled = quake_tvm.compile(program, method="quake5")
    with torch.no_grad():
        expected = flat(module(*inputs))
    for q, y in zip(compiled.run(flat(inputs)), expected, strict=True):
        assert q.shape == y.shape
        np.testing.assert_allclose(q, y, 0, tolerance)
    return compiled


def kernels(compiled):
    """How many kernels are recurrent layers."""
    return list(compiled.report.kernels.values()).count("recurrent")


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (nn.LSTM(FEATURES, UNITS), (X,)),
        (nn.LSTM(FEATURES, UNITS, 2, bidirectional=True, dropout=0.5), (X, (H, H.flip(0)))),
        (nn.GRU(FEATURES, UNITS, 2, batch_first=True), (X,)),
        (nn.GRU(FEATURES, UNITS, bias=False, bidirectional=True), (X, H[:2])),
        (nn.RNN(FEATURES, UNITS, nonlinearity="relu"), (X,)),
        (nn.RNN(FEATURES, UNITS, bias=False), (X[:, 0],)),
        (nn.LSTM(FEATURES, UNITS, proj_size=3), (X,)),
        (
            nn.LSTM(FEATURES, UNITS, 2, bias=False, bidirectional=True, proj_size=5),
            (X, (H[..., :5], H.flip(0))),
        ),
        (nn.LSTMCell(FEATURES, UNITS), (X[0], (H[0], H[1]))),
        (nn.GRUCell(FEATURES, UNITS), (X[0],)),
        (nn.RNNCell(FEATURES, UNITS, bias=False), (X[0], H[0])),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, nn.Module) else "",
)
def test_layers_are_kernels(module, inputs):
    assert kernels(check(module, *inputs)) == 1  # equal layers share one


def test_any_number_of_rows():
    rows = {1: torch.export.Dim("rows", min=2)}
    layer = nn.GRU(FEATURES, UNITS).eval()
    compiled = check(layer, X, dynamic=(rows,))
    for count in (1, 3, 19):
        x = torch.randn(STEPS, count, FEATURES)
        with torch.no_grad():
            expected = layer(x)[0].numpy()
        np.testing.assert_allclose(compiled.run([x.numpy()])[0], expected, 0, 2e-6)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_half_precision(layer):
    half, x = layer(FEATURES, UNITS, bidirectional=True).half().eval(), X.half()
    with torch.no_grad():
        expected = flat(copy.deepcopy(half).float()(x.float()))
    compiled = quake_tvm.compile(torch.export.export(half, (x,)), method="quake5")
    assert kernels(compiled) == 1
    for q, y in zip(compiled.run([x.numpy()]), expected, strict=True):
        assert q.dtype == np.float16
        np.testing.assert_allclose(q, y, 2**-11, 2e-6)


def test_float64_is_unrolled():
    assert kernels(check(nn.LSTM(FEATURES, UNITS).double(), X[:2].double())) == 0


def test_dropout_in_training_is_refused():
    layer = nn.LSTM(FEATURES, UNITS, 2, dropout=0.5)
    program = torch.export.export(layer, (X,))
    with pytest.raises(quake_tvm.QuakeError, match="is in training mode"):
        quake_tvm.compile(program)
