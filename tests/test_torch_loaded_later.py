"""TVM is loaded without torch. A program that imports torch afterwards can use both."""

import subprocess
import sys

import pytest

pytest.importorskip("torch")

LOADED = """
import sys
{}
assert "tvm" in sys.modules and "torch" not in sys.modules
"""
LATER = """
import numpy as np
import quake_tvm

quake_tvm.compile  # loads TVM
import torch
import tvm

x = torch.linspace(-1.0, 1.0, 8).reshape(1, 8)
assert np.array_equal(tvm.runtime.from_dlpack(x).numpy(), x.numpy())
assert torch.equal(torch.from_dlpack(tvm.runtime.tensor(x.numpy())), x)
module = torch.nn.GELU().eval()
fast = torch.compile(module, backend="quake_tvm")
with torch.inference_mode():
    assert torch.allclose(fast(x), module(x), atol=1e-5)
(there,) = quake_tvm.compile(module, example_inputs=x)(x)
assert np.allclose(there, module(x), atol=1e-5)
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import quake_tvm; quake_tvm.compile",
        "import quake_tvm.integrations.onnxruntime",
        "import quake_tvm.integrations.embeddings",
    ],
)
def test_torch_is_not_loaded(statement):
    subprocess.run([sys.executable, "-c", LOADED.format(statement)], check=True)


@pytest.mark.slow
def test_torch_can_be_imported_later():
    subprocess.run([sys.executable, "-c", LATER], check=True)
