"""Random recurrent layers and cells of torch against eager: several in one module."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import quake_tvm  # noqa: E402

from .test_recurrent import flat, kernels  # noqa: E402

SEEDS, TOGETHER = 20, 10
CELLS = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell, "RNN": nn.RNNCell}


def drawn_cell(rng, kind):
    """A cell and its inputs."""
    features, units = rng.randint(1, 20), rng.randint(1, 40)
    options = {"nonlinearity": rng.choice(["tanh", "relu"])} if kind == "RNN" else {}
    rows = rng.choice([(), (1,), (rng.randint(2, 9),)])
    states = [torch.randn(*rows, units) for _ in range(1 + (kind == "LSTM"))]
    given = [tuple(states) if kind == "LSTM" else states[0]] if rng.random() < 0.6 else []
    made = CELLS[kind](features, units, bias=rng.random() < 0.7, **options)
    return made, (torch.randn(*rows, features), *given)


def drawn_layer(rng, kind):
    """A layer and its inputs."""
    features, units, layers = rng.randint(1, 20), rng.randint(1, 40), rng.randint(1, 3)
    options = {
        "bias": rng.random() < 0.7,
        "batch_first": rng.random() < 0.5,
        "bidirectional": rng.random() < 0.5,
        "dropout": 0.5 if layers > 1 and rng.random() < 0.5 else 0.0,
    }
    result = units
    if kind == "RNN":
        options["nonlinearity"] = rng.choice(["tanh", "relu"])
    if kind == "LSTM" and units > 1 and rng.random() < 0.4:
        result = options["proj_size"] = rng.randint(1, units - 1)
    made = getattr(nn, kind)(features, units, layers, **options)
    steps, rows = rng.randint(1, 8), rng.choice([None, 1, rng.randint(2, 20)])
    batch = () if rows is None else (rows,)
    x = torch.randn(steps, *batch, features)
    if options["batch_first"] and batch:
        x = x.transpose(0, 1).contiguous()
    outer = (layers * (1 + options["bidirectional"]), *batch)
    states = [torch.randn(*outer, n) for n in ([result, units] if kind == "LSTM" else [units])]
    given = [tuple(states) if kind == "LSTM" else states[0]] if rng.random() < 0.6 else []
    return made, (x, *given)


class Together(nn.Module):
    """Several modules, each with inputs of its own."""

    def __init__(self, modules):
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, inputs):
        return [part(*given) for part, given in zip(self.parts, inputs, strict=True)]


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_layers_and_cells(seed):
    torch.manual_seed(seed)
    rng = random.Random(seed)
    drawn = [
        rng.choice([drawn_layer, drawn_layer, drawn_cell])(rng, rng.choice([*CELLS]))
        for _ in range(TOGETHER)
    ]
    modules, inputs = zip(*drawn, strict=True)
    module, inputs = Together(modules).eval(), list(inputs)
    compiled = quake_tvm.compile(torch.export.export(module, (inputs,)), method="quake5")
    with torch.no_grad():
        expected = flat(module(inputs))
    assert kernels(compiled)
    for q, y in zip(compiled.run(flat(inputs)), expected, strict=True):
        assert q.shape == y.shape
        np.testing.assert_allclose(q, y, 2e-6, 4e-6)
