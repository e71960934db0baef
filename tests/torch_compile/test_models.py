"""The ten models: right in this backend, and a line of the table each."""

import warnings

import pytest

pytest.importorskip("torch")

import torch

from tests.torch_compile.models import MODELS
from tests.torch_compile.page import Row, write

QUICK = ("decoder step, 256 keys", "LSTM, 32 steps", "perceptrons with a graph break")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.sweep) for n in MODELS]
)
@torch._dynamo.config.patch(allow_rnn=True)
def test_a_model_is_right(name):
    torch.manual_seed(0)
    torch._dynamo.reset()
    model, inputs = MODELS[name]()
    model.eval()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.filterwarnings("error", "quake_tvm leaves")
        compiled = torch.compile(model, backend="quake_tvm", options={"method": "quake5"})
        found, exact = compiled(*inputs), model(*inputs)
    if not isinstance(exact, tuple):
        found, exact = (found,), (exact,)
    for a, b in zip(found, exact, strict=True):
        assert float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


def test_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- models: written by x -->\n<!-- end of models -->\n")
    write([Row("net", 2, 4.0, 2.0, 1.0, 9.0, 3.0, 1e-6, 2e-5)], "facts", page)
    assert "| net | 2 | 4 | 2 | 1 | 0.50 | 9.0 | 3.0 | 1e-06 | 2e-05 |" in page.read_text()
