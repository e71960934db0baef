"""Feed-forward layers as hashed look-ups: the first layers of MiniLM-L6, learnt from Reuters.

Each layer is converted on texts of Reuters' training split. Then the model with the look-ups of the
first three layers, and with those of all layers, is compared with the original, on Reuters' test
split (in domain) and on Lee's news texts (out of domain). "left out" is the model with nothing in
the layers' place, with which the look-ups are compared too.

    python tutorials/lookup_ffn.py                 # downloads, forty minutes
    python tutorials/lookup_ffn.py --layers 0 1 2
    python tutorials/lookup_ffn.py --small         # a small random model, a minute
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import model_data
from sentence_encoder import fail

if TYPE_CHECKING:
    from quake_tvm.lookup import Settings

BATCH, TOKENS = 8, 128
# The layers that are compared without the others.
FIRST = 3
# Texts to learn from.
LEARNT = 4000
Calls = list[dict[str, np.ndarray]]


def run(arguments: argparse.Namespace) -> None:
    """Convert, and compare."""
    from quake_tvm.lookup import Settings

    if arguments.small:
        settings = Settings(tables=16, bits=4, rows=8000)
        compare_small(converted(small_model(), small_calls(0, 6), [0], settings, arguments, None))
        return
    if arguments.converted:
        model = onnx.load(arguments.converted)
    else:
        source, calls = minilm()
        settings = Settings(rows=arguments.rows)
        mask = "attention_mask"
        model = converted(source, calls, arguments.layers, settings, arguments, mask)
    compare(model, arguments.layers, arguments.format)


def converted(
    model: onnx.ModelProto,
    calls: Calls,
    layers: Sequence[int],
    settings: "Settings",
    arguments: argparse.Namespace,
    mask: str | None,
) -> onnx.ModelProto:
    """Convert the layers, print what became of them, and write the model if that is asked for."""
    from quake_tvm.lookup import convert

    with tempfile.TemporaryDirectory() as folder:
        done = convert(
            model,
            calls,
            layers=layers,
            budget=1.0,
            settings=settings,
            form=arguments.format,
            mask=mask,
            folder=arguments.work or folder,
            progress=lambda what, seen, total: shown(what, seen, total),
        )
    print(done)
    if arguments.output:
        onnx.save(done.model, arguments.output)
        print(f"written: {arguments.output}")
    return done.model


def compare(model: onnx.ModelProto, layers: Sequence[int], form: str) -> None:
    """Print what the look-ups of the first three layers, and of all, cost and gain."""
    from tasks.look_ups import changed, evaluate, latency, lines, look_ups

    found = look_ups(model)
    choices = dict.fromkeys([tuple(layers[:FIRST]), tuple(layers)])
    names = {each: f"layers {', '.join(map(str, each))}" for each in choices}
    with_look_ups = {names[each]: changed(found, each, form) for each in choices}
    nothing = {f"{names[each]} left out": left_out(each) for each in choices}
    timed = latency({"the model": lambda model: model, **with_look_ups})
    for line in lines(evaluate({**with_look_ups, **nothing}), timed):
        print(line)


def compare_small(model: onnx.ModelProto) -> None:
    """Print the mean cosine with the rows of the small model."""
    source, calls = small_model(), small_calls(1, 2)
    expected = rows(source, calls)
    for name, other in {"look-ups": model, "left out": left_out([0])(source)}.items():
        print(f"{name:9} mean cosine {np.sum(rows(other, calls) * expected, axis=1).mean():.4f}")


def shown(what: str, seen: int, total: int) -> None:
    """One line that is written over."""
    if sys.stderr.isatty():
        print(f"\r{what}: {seen / total:4.0%} ", end="", file=sys.stderr, flush=True)


def minilm() -> tuple[onnx.ModelProto, Calls]:
    """The encoder, and texts to learn from, of all lengths. Padding is not learnt."""
    from tasks import minilm, reuters, texts

    chosen = reuters.read("train")[0]
    tokens = texts.tokens(chosen, TOKENS)
    places = np.random.default_rng(0).permutation(len(chosen))
    places = places[: LEARNT // BATCH * BATCH].reshape(-1, BATCH)
    calls = [{name: array[at] for name, array in tokens.items()} for at in places]
    return minilm.model(BATCH, TOKENS), calls


def left_out(layers: Sequence[int]) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    """What puts zeros in the place of feed-forward layers: tables of zeros."""
    from quake_tvm.lookup.blocks import find
    from quake_tvm.lookup.layer import LookupLayer
    from quake_tvm.lookup.surgery import replaced

    def change(model: onnx.ModelProto) -> onnx.ModelProto:
        for block in find(model):
            if block.number in layers:
                before, _, behind = block.widths
                shapes = (before, 1), (1,), (2, behind), (behind,)
                nothing = LookupLayer(*(np.zeros(s, np.float32) for s in shapes), bits=1)
                model = replaced(model, block, nothing, "float32")
        return model

    return change


def rows(model: onnx.ModelProto, calls: Calls) -> np.ndarray:
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
    parser.add_argument("--layers", type=int, nargs="+", default=range(6))
    parser.add_argument("--rows", type=int, default=800_000, help="rows to train each layer on")
    parser.add_argument("--format", default="bfloat16", help="float32, bfloat16 or int8")
    parser.add_argument("--output", type=Path, help="the ONNX model to write")
    parser.add_argument("--converted", type=Path, help="compare this model, and convert nothing")
    parser.add_argument("--work", type=Path, help="folder of the state, to continue from")
    parser.add_argument("--small", action="store_true", help="a small random model")
    try:
        run(parser.parse_args(arguments))
    except model_data.DataError as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
