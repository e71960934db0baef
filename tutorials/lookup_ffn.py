"""Feed-forward layers as hashed look-ups: the first layers of MiniLM-L6, learnt from Reuters.

Each layer is converted on texts of Reuters' training split. Then sentence embeddings with the
look-ups are compared with the original's, on Reuters' test split (in domain) and on Lee's news
texts (out of domain). "left out" is the model with nothing in the layers' place, with which the
look-ups are compared too.

    python tutorials/lookup_ffn.py                 # layers 0 to 2: downloads, ten minutes
    python tutorials/lookup_ffn.py --layers 0 1 2 3 4 5
    python tutorials/lookup_ffn.py --small         # a small random model, a minute
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import model_data
from sentence_encoder import fail

BATCH, TOKENS = 8, 128
# Texts to learn from, and to compare on.
LEARNT, COMPARED = 4000, 400
Calls = list[dict[str, np.ndarray]]


def run(arguments: argparse.Namespace) -> None:
    """Convert, and print the layers and the cosines."""
    from quake_tvm.lookup import Settings, convert

    if arguments.small:
        model, calls = small_model(), small_calls(0, 6)
        domains = {"same kind": small_calls(1, 2)}
        settings, layers = Settings(tables=16, bits=4, rows=8000), [0]
    else:
        model, calls, domains = minilm()
        settings, layers = Settings(rows=arguments.rows), arguments.layers
    with tempfile.TemporaryDirectory() as folder:
        done = convert(
            model,
            calls,
            layers=layers,
            budget=1.0,
            settings=settings,
            form=arguments.format,
            mask=None if arguments.small else "attention_mask",
            folder=arguments.work or folder,
            progress=lambda what, seen, total: shown(what, seen, total),
        )
    print(done)
    if arguments.output:
        onnx.save(done.model, arguments.output)
        print(f"written: {arguments.output}")
    found = {"look-ups": done.model, "left out": left_out(model, layers)}
    print("mean cosine with the original's embeddings")
    expected = {name: embeddings(model, each) for name, each in domains.items()}
    for name, changed in found.items():
        for domain, each in domains.items():
            cosine = np.sum(embeddings(changed, each) * expected[domain], axis=1).mean()
            print(f"{name:9} {domain:30} {cosine:.4f}")


def shown(what: str, seen: int, total: int) -> None:
    """One line that is written over."""
    if sys.stderr.isatty():
        print(f"\r{what}: {seen / total:4.0%} ", end="", file=sys.stderr, flush=True)


def minilm() -> tuple[onnx.ModelProto, Calls, dict[str, Calls]]:
    """The encoder, texts to learn from, and texts to compare on.

    Texts to learn from have all lengths. Padding is not learnt.
    """
    from tasks import lee, minilm, reuters, texts

    def calls(chosen: Sequence[str], most: int) -> Calls:
        tokens = texts.tokens(chosen, TOKENS)
        places = np.random.default_rng(0).permutation(len(chosen))
        places = places[: min(most, len(places)) // BATCH * BATCH].reshape(-1, BATCH)
        return [{name: array[at] for name, array in tokens.items()} for at in places]

    learnt = calls(reuters.read("train")[0], LEARNT)
    domains = {
        "Reuters, test (in domain)": calls(reuters.read("test")[0], COMPARED),
        "Lee (out of domain)": calls(lee.read()[0], COMPARED),
    }
    return minilm.model(BATCH, TOKENS), learnt, domains


def left_out(model: onnx.ModelProto, layers: Sequence[int]) -> onnx.ModelProto:
    """The model with zeros in the place of its feed-forward layers: with tables of zeros."""
    from quake_tvm.lookup.blocks import find
    from quake_tvm.lookup.layer import LookupLayer
    from quake_tvm.lookup.surgery import replaced

    result = model
    for block in find(model):
        if block.number in layers:
            before, _, behind = block.widths
            shapes = (before, 1), (1,), (2, behind), (behind,)
            nothing = LookupLayer(*(np.zeros(shape, np.float32) for shape in shapes), bits=1)
            result = replaced(result, block, nothing, "float32")
    return result


def embeddings(model: onnx.ModelProto, calls: Calls) -> np.ndarray:
    """The model's first output for all calls, each row of length 1."""
    import quake_tvm

    built = quake_tvm.compile(model, method="quake5")
    found = np.concatenate([np.array(built.run(call)[0]) for call in calls])
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def small_model(width: int = 32, inner: int = 96) -> onnx.ModelProto:
    """One feed-forward layer with random weights, a residual and a norm."""
    random = np.random.default_rng(0)
    shapes = {"a": (width, inner), "b": (inner,), "c": (inner, width), "d": (width,)}
    weights = {
        name: (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        for name, shape in shapes.items()
    }
    weights |= {"one": np.ones(width, np.float32), "zero": np.zeros(width, np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["wide"]),
        helper.make_node("Add", ["wide", "b"], ["biased"]),
        helper.make_node("Gelu", ["biased"], ["inner"]),
        helper.make_node("MatMul", ["inner", "c"], ["narrow"]),
        helper.make_node("Add", ["narrow", "d"], ["out"]),
        helper.make_node("Add", ["out", "x"], ["sum"]),
        helper.make_node("LayerNormalization", ["sum", "one", "zero"], ["y"]),
    ]
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", width]) for n in ("x", "y")
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "small", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def small_calls(seed: int, count: int, width: int = 32) -> Calls:
    """Rows around a few centres."""
    centres = np.random.default_rng(9).standard_normal((12, width))
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        rows = centres[random.integers(0, len(centres), 96)]
        rows = rows + 0.2 * random.standard_normal(rows.shape)
        made.append({"x": rows.astype(np.float32)})
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tutorial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=800_000, help="rows to train each layer on")
    parser.add_argument("--format", default="bfloat16", help="float32, bfloat16 or int8")
    parser.add_argument("--output", type=Path, help="the ONNX model to write")
    parser.add_argument("--work", type=Path, help="folder of the state, to continue from")
    parser.add_argument("--small", action="store_true", help="a small random model")
    try:
        run(parser.parse_args(arguments))
    except model_data.DataError as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
