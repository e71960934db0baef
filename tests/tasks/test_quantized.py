"""The quantized encoder: GELUs are between quantizations, sums with a mask are not quantized."""

import numpy as np
import pytest

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")
pytest.importorskip("sklearn")

import model_data
from tasks import minilm, quantized


@pytest.mark.slow
def test_quantizations(monkeypatch):
    monkeypatch.setattr(quantized, "BATCH", 2)
    try:
        model = minilm.model(2, 16)
    except model_data.DataError as error:
        pytest.skip(str(error))
    feeds = {"input_ids": np.random.default_rng(0).integers(1000, 30000, (4, 16))}
    feeds["attention_mask"] = np.ones_like(feeds["input_ids"])
    made = quantized.quantized(model, feeds).graph.node
    maker = {name: node for node in made for name in node.output}
    users = {name: node.op_type for node in made for name in node.input}
    gelus = [node for node in made if node.op_type == "Gelu"]
    assert len(gelus) == minilm.LAYERS
    for gelu in gelus:
        assert maker[gelu.input[0]].op_type == "DequantizeLinear"
        assert users[gelu.output[0]] == "QuantizeLinear"
    for node in made:
        if node.op_type == "Softmax":
            assert maker[node.input[0]].op_type == "Add"
