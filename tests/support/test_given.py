"""Arguments of wrong types, and files that are not arrays, give one line that says what to do."""

import math
import zipfile

import numpy as np
import pytest

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.support import given
from quake_tvm.support.array_file import read_npy, read_npz
from tests.test_compiler import mlp

X = np.zeros((4, 8), np.float32)


@pytest.fixture(scope="module")
def compiled():
    return quake_tvm.compile(mlp(), shapes={"x": (4, 8)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_error": "x"}, "max_error must be a number, not 'x'"),
        ({"max_error": True}, "max_error must be a number, not True"),
        ({"max_error": float("nan")}, "max_error must be a number"),
        ({"max_error": [1]}, "max_error must be a number"),
        ({"method": np.array(["quake2", "quake3"])}, "unknown method"),
        ({"special_values": ["ieee"]}, "unknown special_values"),
        ({"skip": np.array([1, 2])}, "unknown operator"),
        ({"plan": ""}, "plan must be a path, and is empty"),
        ({"only": 5}, "give a list of operators, not 5"),
        ({"skip": [[]]}, r"unknown operator \[\]"),
        ({"plan": 5}, "plan must be a path, not 5"),
        ({"plan": "a\0b"}, "null character"),
        ({"records": 5}, "records takes a folder"),
        ({"target": 5}, "target"),
        ({"shapes": {"x": (2**50, 8)}}, "too many elements"),
        ({"shapes": {"x": (2**70, 8)}}, "too many elements"),
        ({"shapes": {"x": ("n", 2**70)}}, "too many elements"),
        ({"shapes": {"x": ("n", -8)}}, "negative size"),
        ({"shapes": {"x": ("n", 8.5)}}, "whole numbers"),
        ({"shapes": {"x": ("a b", 8)}}, "the name 'a b': give a word"),
        ({"shapes": {"x": ("", 8)}}, "the name '': give a word"),
        ({"shapes": {"x": ("8", 8)}}, "the name '8': give a word"),
        ({"shapes": {"x": ("lambda", 8)}}, "the name 'lambda': give a word"),
        ({"shapes": {"x": ("é", 8)}}, "the name 'é': give a word"),
        ({"ranges": [("n", (1, 2))]}, r"as ranges=\{'length': \(1, 512\)\}"),
        ({"ranges": {"n": 3}}, r"the range of 'n' is its .* as \(1, 512\), not 3"),
        ({"ranges": {"n": (1, 2, 3)}}, r"as \(1, 512\), not \(1, 2, 3\)"),
        ({"ranges": {"n": (1, 2.5)}}, r"as \(1, 512\), not \(1, 2.5\)"),
        ({"ranges": {"n": "12"}}, r"as \(1, 512\), not '12'"),
        ({"ranges": {"n": (0, 2)}}, "'n' is 0 to 2: give positive sizes, the least one first"),
        ({"ranges": {"n": (3, 2)}}, "'n' is 3 to 2: give positive sizes"),
        ({"ranges": {"n": (1, 2**70)}}, "give positive sizes"),
        ({"ranges": {"z": (1, 2)}}, "unknown dimension 'z'; the dimensions: n$"),
    ],
    ids=str,
)
def test_options(options, message):
    with pytest.raises(QuakeError, match=message):
        quake_tvm.compile(mlp(), **options)


def test_a_number_of_numpys():
    model = quake_tvm.compile(mlp(), max_error=np.float32(0.5))
    assert model.options["max_error"] == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quake_tvm.bound(["gelu"]), "unknown operator"),
        (lambda: quake_tvm.bound("gelu", np.array([1, 2])), "unknown method"),
        (lambda: quake_tvm.Plan.load(5), "the plan must be a path"),
        (lambda: quake_tvm.plan(mlp(), [X], metric=[]), "metric must be a name or a function"),
        (lambda: quake_tvm.connect("board:1", timeout=math.inf), "timeout must be positive"),
        (lambda: quake_tvm.tune(mlp(), seed=-1), "seed must be a whole number from 0"),
        (lambda: quake_tvm.tune(mlp(), trials=1.5), "trials must be a whole number from 1"),
    ],
)
def test_other_functions(call, message):
    with pytest.raises(QuakeError, match=message):
        call()


@pytest.mark.parametrize("path", [5, None, "a\0b", "x" * 5000], ids=["int", "none", "null", "long"])
def test_paths(compiled, path):
    for call in (quake_tvm.load, compiled.export):
        with pytest.raises(QuakeError, match="the library"):
            call(path)
    with pytest.raises(QuakeError):
        quake_tvm.compile(path)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([[1.0] * 8] * 4, "takes 1 input .x., got 4; a list stands for all inputs"),
        ([[1.0] * 8], "got .8,.; a list stands for all inputs"),
        ({"x": [[1.0], [1.0, 2.0]]}, "'x' must be an array of float32, got a list"),
        (None, "'x' must be an array of float32, got a NoneType"),
        ("text", "'x' must be an array of float32, got a str"),
        ({5: 1}, "unknown input 5"),
    ],
    ids=["nested", "one row", "ragged", "none", "text", "key"],
)
def test_inputs(compiled, inputs, message):
    with pytest.raises(QuakeError, match=message):
        compiled.run(inputs)


@pytest.mark.parametrize(
    "options", [{"number": 0}, {"repeat": -1}, {"number": "a"}, {"repeat": 1.5}]
)
def test_counts(compiled, options):
    with pytest.raises(QuakeError, match="must be a whole number from 1"):
        compiled.benchmark(np.zeros((4, 8), np.float32), **options)


def header(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"1.0 2.0\n", "it is no .npy file"),
        (b"PK\3\4" + b"a" * 40, "it is a .npz file"),
        (header("(99999999999,)"), "greater than file size"),
        (header("(-1,)"), "cannot read"),
        (header("(4,)")[:40], "cannot read"),
        (header("(4,) + ("), "cannot read"),
    ],
    ids=["empty", "text", "zip", "huge", "negative", "cut", "syntax"],
)
def test_npy_files(tmp_path, content, message):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(QuakeError, match=message):
        read_npy(path)
    with pytest.raises(QuakeError, match=r"as \.npz"):
        read_npz(path)


def test_npz_files(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.ones((0, 3)), y=np.array(2.0))
    assert {name: a.shape for name, a in read_npz(path).items()} == {"x": (0, 3), "y": ()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header("(99999999999,)"))
    with pytest.raises(QuakeError, match="fewer bytes than its shape"):
        read_npz(path)
    np.save(tmp_path / "x.npy", np.zeros((0, 3)))
    assert read_npy(tmp_path / "x.npy").shape == (0, 3)
    with pytest.raises(QuakeError, match="no such file"):
        read_npy(tmp_path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(QuakeError, match=r"is a folder: give the \.so file in it"):
        given.file(tmp_path, "the library", ".so")
    with pytest.raises(QuakeError, match="null is a device or a pipe, not a file"):
        given.file("/dev/null", "the library", ".so")
    with pytest.raises(QuakeError, match="no such file"):
        given.file(tmp_path / "x.so", "the library", ".so")


@pytest.mark.parametrize("value", [X, {"x": X}, "x", 3])
def test_one_call_is_no_list_of_calls(value):
    with pytest.raises(QuakeError, match="the calibration must be a list of the inputs"):
        given.calls(value, "the calibration")


@pytest.mark.parametrize("entry", ["m/data.pkl", "m/archive_format"])
def test_files_of_pytorch(tmp_path, entry):
    with zipfile.ZipFile(tmp_path / "m.onnx", "w") as archive:
        archive.writestr(entry, "")
    with pytest.raises(QuakeError, match="it is a file of PyTorch: load it in Python"):
        quake_tvm.compile(tmp_path / "m.onnx")
