"""torch.export programs: each module's nonlinearity is recognised and within its bound."""

import numpy as np
import pytest

import quake_tvm

torch = pytest.importorskip("torch")
nn = torch.nn

MODULES = {
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "silu": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "softplus": nn.Softplus(),
    "mish": nn.Mish(),
    "elu": nn.ELU(),
    "celu": nn.CELU(alpha=1.5),
    "softmax": nn.Softmax(dim=-1),
    "log_softmax": nn.LogSoftmax(dim=-1),
}
X = np.random.default_rng(0).normal(0, 3, (5, 33)).astype(np.float32)


@pytest.mark.parametrize("method", ["quake2", "quake5"])
@pytest.mark.parametrize("operator", MODULES)
def test_module(operator, method):
    program = torch.export.export(MODULES[operator], (torch.from_numpy(X),))
    model = quake_tvm.compile(program, method=method)
    assert {site.operator for site in model.report.sites} <= {operator, "elu"}
    assert not model.report.exact
    (q,) = model.run(X)
    y = MODULES[operator](torch.from_numpy(X).double()).numpy()
    promised = quake_tvm.bound(operator, method)
    assert np.all(np.abs(q - y) <= (promised.relative + 2**-21) * np.abs(y) + promised.absolute)


def test_transformer_layer_keeps_its_fusion():
    layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True).eval()
    x = torch.randn(2, 10, 32)
    with torch.no_grad():
        program = torch.export.export(layer, (x,))
        expected = layer(x).numpy()
    model = quake_tvm.compile(program, method="quake5")
    assert {site.operator for site in model.report.sites} == {"gelu", "softmax"}
    np.testing.assert_allclose(model.run(x.numpy())[0], expected, atol=2e-5)
