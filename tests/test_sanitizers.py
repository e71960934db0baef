"""The C and C++ programs run under the address and undefined-behaviour sanitizers, with bad input.

Each program has one thread. TVM's libraries and the compiled kernels are not instrumented.
"""

import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tvm
import tvm_ffi
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm.boards.runner import SOURCE as RUNNER
from quake_tvm.emulation import board, kernel

SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
LIBRARIES = [
    str(Path(tvm.__file__).parent / "lib"),
    str(Path(tvm_ffi.libinfo.find_libtvm_ffi()).parent),
]
# TVM frees some of its memory only when the process ends.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "TVM_NUM_THREADS": "1"}
GARBAGE = [b"", b"x", bytes(4), struct.pack("<i", 0xFF271), struct.pack("<ii", 0xFF271, -5)]
GARBAGE += [struct.pack("<ii", 0xFF271, 1 << 30), struct.pack("<ii", 0xFF271, 3) + b"abc"]

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")


def built(source: Path, program: Path, *flags: str) -> Path:
    command = [
        "g++" if source.suffix == ".cc" else "gcc",
        *SANITIZE,
        str(source),
        "-o",
        str(program),
    ]
    command += [f"-I{path}" for path in tvm_ffi.libinfo.include_paths()]
    done = subprocess.run([*command, *flags], capture_output=True, text=True)
    if "cannot find" in done.stderr and "asan" in done.stderr:
        pytest.skip("this compiler comes without sanitizers")
    assert done.returncode == 0, done.stderr
    return program


def linked() -> list[str]:
    flags = [flag for path in LIBRARIES for flag in (f"-L{path}", f"-Wl,-rpath,{path}")]
    return ["-std=c++17", *flags, "-Wl,--no-as-needed", "-ltvm_runtime", "-ltvm_ffi"]


def is_clean(stderr: str) -> bool:
    return "Sanitizer" not in stderr and "runtime error" not in stderr


def run(command: list, data: bytes = b"") -> tuple[int, str, str]:
    """Exit status and output of a program. The test fails if a sanitizer stops it."""
    done = subprocess.run(command, input=data, capture_output=True, env=ENVIRONMENT, timeout=900)
    out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    assert is_clean(err), err[-2000:]
    return done.returncode, out, err


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    node = helper.make_node("Sigmoid", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 5]) for n in "xy")
    graph = helper.make_graph([node], "graph", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = tmp_path_factory.mktemp("model")
    quake_tvm.compile(model, method="exact").export(folder / "model.so")
    np.arange(15, dtype=np.float32).tofile(folder / "x.bin")
    return folder


def test_runner(exported, tmp_path):
    runner = built(RUNNER, tmp_path / "runner", *linked())
    library, file = exported / "model.so", exported / "x.bin"
    status, out, _ = run([runner, library, f"x={file}", "n=3"])
    assert status == 0
    assert "( 3 5 ): 0.5 0.7310" in out
    cut = tmp_path / "cut.so"
    cut.write_bytes(library.read_bytes()[:-1])
    for words in (
        [],
        ["nowhere.so"],
        [cut],
        [library, f"x={file}"],
        [library, f"x={file}", "n=-3"],
        [library, f"x={file}", "n=three"],
        [library, f"x={file}", "n=99999999999999999999"],
        [library, "n=4611686018427387904"],
        [library, f"x={exported}", "n=3"],
        [library, "x=", "n=3"],
    ):
        status, _, err = run([runner, *words])
        assert status == 2, words
        assert err.startswith("error: "), words
        assert len(err.splitlines()) == 1, words


def test_driver(tmp_path):
    driver = built(kernel.SOURCE, tmp_path / "driver", "-rdynamic", "-ldl")
    source = tmp_path / "library.c"
    source.write_text("int __tvm_ffi_nothing(void* a, void* b, int c, void* d) { return 0; }\n")
    library = tmp_path / "library.so"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True)
    good = b"nothing 2 2\nI 2 32 1 2\n" + bytes(8) + b"O 2 32 2 3 0\n"
    assert run([driver, library], good)[0] == 0
    assert run([driver, library], b"nothing 1 1\nO 2 32 1 4\n")[1]
    for call in (
        b"nothing 1 65\n",
        b"missing 1 0\n",
        b"nothing 1 1\nI 2 32 9 1\n",
        b"nothing 1 1\nI 2 32 -1 1\n",
        b"nothing 1 1\nI 2 0 1 1\n",
        b"nothing 1 1\nI 2 32 1 -4\n",
        b"nothing 1 1\nI 2 32 2 4611686018427387904 4\n",
        b"nothing 1 1\nI 2 32 1 4611686018427387900\n",
        b"nothing 1 1\nI 2 32 1 4\nshort",
        b"nothing 1 1\nI 2\n",
        b"n" * 400 + b" 1 0\n",
    ):
        status, _, err = run([driver, library], call)
        assert status == 1, call
        assert len(err.splitlines()) == 1, call


def test_board(tmp_path):
    program = built(board.SOURCE, tmp_path / "board", *linked())
    with subprocess.Popen(
        [program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=ENVIRONMENT,
    ) as process:
        port = int(process.stdout.readline())
        for data in GARBAGE:
            with socket.create_connection(("127.0.0.1", port), timeout=300) as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
        remote = tvm.rpc.connect("127.0.0.1", port)
        assert remote.cpu().exist
        del remote
        process.stdin.close()
        assert process.wait(300) == 0
        assert is_clean(process.stderr.read().decode())
