"""Errors on the command line are one line, with status 2. These quick cases run in-process."""

import sys

import onnx
import pytest

import quake_tvm
from quake_tvm.cli import app as cli
from tests.test_compiler import mlp

MODEL, LIBRARY = "mlp.onnx", "mlp.so"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shell")
    onnx.save(mlp(), folder / MODEL)
    quake_tvm.compile(mlp()).export(folder / LIBRARY)
    return folder


@pytest.fixture
def refusal(folder, monkeypatch, capfd):
    """The error line that a command ends with."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["quake-tvm", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        assert (ended.value.code, said.out) == (2, "")
        (line,) = said.err.splitlines()
        return line.removeprefix("error: ")

    return run


@pytest.mark.parametrize("model", [MODEL, LIBRARY])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("x=-1,3", "the shape (-1, 3) of 'x' has a negative size"),
        ("x=9223372036854775808,8", "too many elements"),
        ("x=0,9223372036854775807", "too many elements"),
        ("x=1,,8", "--shape takes NAME=1,128 or NAME=batch,length, not 'x=1,,8'"),
        ("x=1.5,8", "the name '1.5': give a word"),
        ("y=1,8", "no input 'y'"),
        ("=1,8", "no input ''"),
        ("x=", "input 'x'"),
        ("x=100000000000,8", "not enough memory: "),
    ],
)
def test_shapes(refusal, model, shape, message):
    assert message in refusal("run", model, "--shape", shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "x=a b,8"], "the name 'a b': give a word"),
        (["--shape", "x=n,,8"], "--shape takes NAME=1,128 or NAME=batch,length, not 'x=n,,8'"),
        (["--shape", "n,8"], "--shape takes NAME=1,128 or"),
        (["--shape", "x=n,8", "--shape", "x=n,8"], "--shape x=... is given twice"),
        (["--shape", "x=n,-8"], "negative size"),
        (["--shape", "x=n,9"], "shape ('n', 9) does not fit input 'x' (n, 8)"),
        (["--range", "n=1"], "--range takes NAME=1:512, not 'n=1'"),
        (["--range", "1:2"], "--range takes NAME=1:512, not '1:2'"),
        (["--range", "n=1:b"], "--range takes NAME=1:512"),
        (["--range", "n=1:2:3"], "--range takes NAME=1:512"),
        (["--range", "n=1:2", "--range", "n=1:3"], "--range n=... is given twice"),
        (["--range", "n=0:2"], "the range of 'n' is 0 to 2: give positive sizes"),
        (["--range", "m=1:2"], "unknown dimension 'm'; the dimensions: n"),
    ],
)
def test_names_and_ranges(refusal, options, message):
    assert message in refusal("compile", MODEL, *options)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["plan", MODEL, "--inputs", "x.npz", "-o", "plan.toml"], ""),
        (["tune", MODEL, "--records", "records"], ""),
        (["bench", MODEL], ", or leave it out and give --lengths 8,128 for one build for any size"),
    ],
    ids=["plan", "tune", "bench"],
)
def test_a_command_that_measures_needs_sizes(refusal, command, message):
    assert refusal(*command, "--shape", "x=rows,8") == (
        "--shape of 'x' has the name rows, and this command needs sizes to measure at: "
        f"give numbers, as x=8,8{message}"
    )


@pytest.mark.parametrize(
    "options",
    [("-m", "quake3"), ("--records", "none"), ("-t", "x86-64-v3", "--rpc", "127.0.0.1:1")],
)
def test_a_library_is_compiled_already(refusal, options):
    assert refusal("run", LIBRARY, *options).endswith("mlp.so is compiled already")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'; see quake-tvm --help"),
        (["run"], "Missing argument 'model'; see quake-tvm run --help"),
        (["run", LIBRARY, "--repeat", "3.5"], "Invalid value for '--repeat': "),
        (["run", LIBRARY, "--repeat", "-1"], "--repeat must be a whole number from 1"),
        (["run", LIBRARY, "--seed", "-1"], "--seed must be a whole number from 0"),
        (["run", LIBRARY, "--nonsense"], "No such option: --nonsense"),
        (["run", LIBRARY, "-q"], "it stands before the command: quake-tvm -q ..."),
        (["run", "two\nlines.so"], "no such file: two lines.so"),
        (["run", LIBRARY, "--rpc", "127.0.0.1:1", "--timeout", "nan"], "timeout must be a number"),
        (["run", LIBRARY, "--rpc", "127.0.0.1:1", "--timeout", "1e300"], "at most a day"),
        (["bench", "--threads", "99999999999"], "Invalid value for '--threads': "),
    ],
    ids=str,
)
def test_usage(refusal, arguments, message):
    assert message in refusal(*arguments)
