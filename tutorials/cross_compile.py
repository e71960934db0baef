"""A sentence encoder compiled here for a Raspberry Pi 4 and run there, or on an emulated one.

paraphrase-MiniLM-L3-v2 is a transformer with a softmax and a GELU in each of its three layers. It
is compiled for the board's CPU, sent to the board over TVM's RPC, run and timed there. Its
embeddings are compared with those of the same model compiled for this machine.

Without options the board is an emulated one: TVM's RPC server as an aarch64 program, in QEMU. Its
results are those of a real board, its times are not. On Debian and Ubuntu it needs
``apt install qemu-user g++-aarch64-linux-gnu``.

For a real board with 64-bit Raspberry Pi OS, install TVM's runtime there (PyPI has wheels for it),
start its server, and give this script the address::

    pip install 'apache-tvm==0.27.*' 'apache-tvm-ffi>=0.1.14.post0,<0.1.15' cloudpickle psutil
    python -m tvm.exec.rpc_server --host 0.0.0.0 --port 9090

    python tutorials/cross_compile.py --rpc raspberrypi.local:9090

Whoever reaches that port can run any code on the board: open it in a private network only.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import model_data
import quake_tvm
import sentence_encoder
from quake_tvm.emulation.board import Board

TARGET = "raspberry-pi-4"
METHOD = "quake3"
# Only a few tokens of a few sentences, since the emulator is slow.
TOKENS, SENTENCES = 16, 4


@contextmanager
def board_at(address: str | None) -> Iterator[str]:
    """The address of a board: the given one, or that of a new emulated one."""
    if address is not None:
        yield address
        return
    with Board(quake_tvm.target(TARGET)) as board:
        yield f"127.0.0.1:{board.port}"


def embeddings(outputs: list[list[np.ndarray]]) -> np.ndarray:
    """A row of length 1 for each sentence. The model's last output is a sentence's embedding."""
    rows = np.concatenate([output[-1] for output in outputs]).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def run(address: str | None, timeout: float) -> None:
    """Compile, send, run, time, compare."""
    path = model_data.sentence_encoder()
    sentences, _ = sentence_encoder.read_sentences(SENTENCES)
    feeds = [
        {name: array[:, :TOKENS] for name, array in feed.items()}
        for feed in sentence_encoder.tokenize(sentences)
    ]
    shapes = {name: array.shape for name, array in feeds[0].items()}

    # 1. Compile for the board: with its instructions and vectors, linked by a cross compiler.
    model = quake_tvm.compile(path, TARGET, METHOD, shapes=shapes)
    print(model.report)

    # 2. Run on the board. No step waits longer than the time-out, whatever the board does.
    with TemporaryDirectory() as folder, board_at(address) as place:
        library = model.export(Path(folder) / "encoder.so")
        print(f"\n{library.stat().st_size / 1e6:.0f} MB for the board at {place}")
        with quake_tvm.connect(place, timeout=timeout) as board:
            encoder = board.load(library)
            outputs = [encoder.run(feed) for feed in feeds]
            (seconds,) = encoder.benchmark(feeds[0], number=1, repeat=1)
    whose = "emulated" if address is None else "by the board's clock"
    print(f"{seconds * 1e3:.1f} ms a sentence of {TOKENS} tokens, {whose}")

    # 3. Compare with this machine: the nonlinearities give the same bits, and all of it may.
    here = quake_tvm.compile(path, "native", METHOD, shapes=shapes)
    there, expected = embeddings(outputs), embeddings([here.run(feed) for feed in feeds])
    print(f"largest difference to this machine: {np.abs(there - expected).max():.2g}")
    for text, cosine in zip(sentences, there @ there[0], strict=True):
        print(f"{cosine:6.3f}  {text}")


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rpc", metavar="HOST:PORT", help="of a real board's RPC server")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for each step there")
    arguments = parser.parse_args(argv)
    try:
        run(arguments.rpc, arguments.timeout)
    except (model_data.DataError, quake_tvm.QuakeError) as error:
        return sentence_encoder.fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
