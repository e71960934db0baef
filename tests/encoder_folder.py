"""A folder with a small sentence encoder: its model looks the tokens up and takes their tanh."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = ["[PAD]", "[UNK]", *["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog"]]
WIDTH = 6
TABLE = np.random.default_rng(0).standard_normal((len(WORDS), WIDTH)).astype(np.float32)


def tokens(text: str) -> np.ndarray:
    """The vectors of a text's tokens, in double precision."""
    ids = [WORDS.index(word) if word in WORDS else 1 for word in text.split()]
    return np.tanh(TABLE[ids].astype(np.float64))


def save(folder: Path) -> None:
    """Write ``tokenizer.json`` and ``model.onnx``. Needs the package tokenizers."""
    import tokenizers

    table = tokenizers.models.WordLevel({w: k for k, w in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(table)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=128)  # which an encoder for any length must not follow
    tokenizer.save(str(folder / "tokenizer.json"))
    ids, mask = (
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    )
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "length", WIDTH])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Tanh", ["rows"], ["y"]),
    ]
    weights = [numpy_helper.from_array(TABLE, "table")]
    graph = helper.make_graph(nodes, "encoder", [ids, mask], [y], weights)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx")
