"""Models on an emulated board over RPC: the bits of the host, and an error for every fault."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from tvm import relax

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.boards.client import Remote
from quake_tvm.emulation.board import Board
from quake_tvm.numerics import reference
from quake_tvm.options import DEFAULT_METHOD
from tests.helpers import module
from tests.processes import children, is_free, python, running, soon, tvm_service
from tests.shell import quake
from tests.test_compiler import mlp

METHOD = "quake2"
FORMULAS = {"softmax": relax.op.nn.softmax, "gelu": relax.op.nn.gelu, "sigmoid": relax.op.sigmoid}
X = np.random.default_rng(0).normal(0, 4, (5, 37)).astype(np.float32)
# Enough calls to take longer than any test.
ENDLESS = 1 << 30


def compiled(target):
    """A model with one output for each operator."""
    net = module(lambda x: tuple(f(x) for f in FORMULAS.values()), X.shape)
    return quake_tvm.compile(net, target, METHOD)


@pytest.fixture(scope="module")
def model(pi):
    return compiled(pi)


@pytest.fixture(scope="module")
def expected():
    return compiled("native").run(X)


def address(board):
    return f"127.0.0.1:{board.port}"


@pytest.fixture(scope="module")
def remote(pi):
    with Board(pi) as board, quake_tvm.connect(address(board)) as remote:
        yield remote


@pytest.fixture
def fault(pi, model):
    """A separate board with the model on it, and the process of the session."""
    with Board(pi) as board, quake_tvm.connect(address(board)) as remote:
        loaded = remote.load(model)
        (session,) = children(board.process.pid)
        yield board, remote, loaded, session


def same_bits(found, expected):
    return [a.tobytes() for a in found] == [b.tobytes() for b in expected]


def exact(name):
    x = X.astype(np.float64)
    if name == "softmax":
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)
    return getattr(reference, name)(reference.NUMPY, x)


def test_a_model_has_the_bits_of_this_machine_and_keeps_its_bounds(remote, model, expected):
    found = remote.load(model).run(X)
    assert same_bits(found, expected)
    for name, array in zip(FORMULAS, found, strict=True):
        bound, right = quake_tvm.bound(name, METHOD), exact(name)
        assert np.all(np.abs(array - right) <= bound.relative * np.abs(right) + bound.absolute)


def test_a_file_is_as_good_as_a_model(remote, model, expected, tmp_path):
    loaded = remote.load(model.export(tmp_path / "model.so"))
    assert (loaded.inputs, loaded.options) == (model.inputs, model.options)
    assert str(loaded.report) == str(model.report)
    assert same_bits(loaded.run({"x0": X}), expected)


def test_products_and_shapes_known_only_when_run(remote, pi):
    loaded = remote.load(quake_tvm.compile(mlp(), pi, METHOD))
    here = quake_tvm.compile(mlp(), method=METHOD)
    for rows in (1, 5):
        x = np.linspace(-4, 4, rows * 8, dtype=np.float32).reshape(rows, 8)
        np.testing.assert_allclose(loaded.run(x)[0], here.run(x)[0], rtol=1e-5, atol=1e-7)


def test_the_board_keeps_the_time(remote, model):
    seconds = remote.load(model).benchmark(X, number=2, repeat=3)
    assert len(seconds) == 3
    assert min(seconds) > 0


def test_threads(remote, model, expected):
    remote.use_threads(1)
    assert same_bits(remote.load(model).run(X), expected)


def test_what_the_user_got_wrong_leaves_the_connection_open(remote, model, expected, tmp_path):
    loaded = remote.load(model)
    with pytest.raises(QuakeError, match=r"must have shape \(5, 37\), got \(37,\)"):
        loaded.run(X[0])
    with pytest.raises(QuakeError, match="no such file"):
        remote.load(tmp_path / "missing.so")
    with pytest.raises(QuakeError, match="is the library for this board's CPU"):
        remote.load(compiled("native"))
    assert same_bits(loaded.run(X), expected)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "give the address of a board"),
        ({"tracker": "127.0.0.1:1"}, "give the address of a board"),
        ({"address": "127.0.0.1:1", "tracker": "127.0.0.1:1", "key": "pi"}, "give the address"),
        ({"address": "9090"}, "HOST:PORT"),
        ({"address": "pi:http"}, "HOST:PORT"),
        ({"address": "pi:99999"}, "HOST:PORT"),
    ],
)
def test_addresses(arguments, says):
    before = children(os.getpid())
    with pytest.raises(QuakeError, match=says):
        quake_tvm.connect(**arguments)
    assert children(os.getpid()) == before


def test_no_one_there():
    before = children(os.getpid())
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(QuakeError, match=f"the board at {closed} failed, connecting"):
            quake_tvm.connect(closed)
        with pytest.raises(QuakeError, match=f"the tracker at {closed} failed, .*refused"):
            quake_tvm.connect(tracker=closed, key="pi")
    assert children(os.getpid()) == before


def test_someone_there_who_says_nothing():
    before = children(os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(QuakeError, match=f"no answer from the board at {there} in 1 s"):
            quake_tvm.connect(there, timeout=1)
        with pytest.raises(QuakeError, match=f"no answer from the tracker at {there} in 1 s"):
            quake_tvm.connect(tracker=there, key="pi", timeout=1)
    assert children(os.getpid()) == before


def test_a_board_that_hangs_before_the_handshake(pi):
    with Board(pi) as board:
        board.process.send_signal(signal.SIGSTOP)
        with pytest.raises(QuakeError, match=r"no answer from the board at .* in 1 s, connecting"):
            quake_tvm.connect(address(board), timeout=1)
        board.process.send_signal(signal.SIGCONT)
        quake_tvm.connect(address(board)).close()


def attempts(loaded, remote, model):
    return {
        "loading": lambda: remote.load(model),
        "running": lambda: loaded.run(X),
        "timing": lambda: loaded.benchmark(X, number=ENDLESS, repeat=1),
    }


@pytest.mark.parametrize("doing", ["loading", "running", "timing"])
@pytest.mark.parametrize("what", ["hangs", "is lost"])
def test_a_board_that_fails(fault, model, doing, what):
    board, remote, loaded, session = fault
    if what == "hangs":
        remote.timeout = 1
    os.kill(session, signal.SIGSTOP if what == "hangs" else signal.SIGKILL)
    says = f"no answer .* in 1 s, {doing}" if what == "hangs" else f"lost the board at .*, {doing}"
    with pytest.raises(QuakeError, match=says) as error:
        attempts(loaded, remote, model)[doing]()
    assert "\n" not in str(error.value)
    assert not running(remote._worker.process.pid)
    with pytest.raises(QuakeError, match="is closed"):
        loaded.run(X)
    board.close()
    assert is_free(board.port)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSEGV])
def test_a_board_that_is_lost_in_the_middle(fault, sent):
    _, remote, loaded, session = fault
    threading.Timer(0.5, os.kill, (session, sent)).start()
    with pytest.raises(QuakeError, match=r"lost the board at .*, timing the model"):
        loaded.benchmark(X, number=ENDLESS, repeat=1)
    assert not running(remote._worker.process.pid)


def test_a_run_without_end(fault):
    board, remote, loaded, session = fault
    remote.timeout = 1
    with pytest.raises(QuakeError, match=r"no answer from the board at .* in 1 s, timing"):
        loaded.benchmark(X, number=ENDLESS, repeat=1)
    assert not running(remote._worker.process.pid)
    os.kill(session, signal.SIGKILL)  # the server keeps running, as a real board's would
    quake_tvm.connect(address(board)).close()


def test_a_client_that_is_killed(fault):
    board, remote, _, session = fault
    remote._worker.process.kill()
    with pytest.raises(QuakeError, match="lost the board at"):
        remote.use_threads(1)
    assert soon(lambda: not running(session))
    assert running(board.process.pid)


def test_whoever_waits_for_the_board_ends_with_who_has_started_it():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"127.0.0.1:{silent.getsockname()[1]}"
        code = f"import quake_tvm; quake_tvm.connect({there!r})"
        with subprocess.Popen(python(code)) as user:
            connection, _ = silent.accept()
            (process,) = children(user.pid)
            assert running(process)
            user.kill()
        with connection:
            assert soon(lambda: not running(process))


def test_closed_is_closed(board, model):
    remote = quake_tvm.connect(address(board))
    loaded = remote.load(model)
    remote.close()
    remote.close()
    assert not running(remote._worker.process.pid)
    with pytest.raises(QuakeError, match=r"the connection to the board at .* is closed"):
        loaded.run(X)


@pytest.fixture(scope="module")
def tracker():
    pytest.importorskip("tornado", reason="TVM's tracker needs tornado: pip install tornado")
    pytest.importorskip("cloudpickle", reason="TVM's tracker needs it: pip install cloudpickle")
    with tvm_service("rpc_tracker") as port:
        yield port


def test_a_tracker_gives_away_each_board_once(pi, tracker, model, expected):
    there, boards = ("127.0.0.1", tracker), {}
    client = {"tracker": f"127.0.0.1:{tracker}", "key": "pi"}
    with Board(pi, there, "pi") as one, Board(pi, there, "pi") as other:
        boards = [one.process.pid, other.process.pid]
        for _ in range(2):  # twice: also when they are free
            with quake_tvm.connect(**client) as first, quake_tvm.connect(**client) as second:
                assert all(len(children(board)) == 1 for board in boards)
                for remote in (first, second):
                    assert same_bits(remote.load(model).run(X), expected)
        with (
            quake_tvm.connect(**client),
            quake_tvm.connect(**client),
            pytest.raises(QuakeError, match=r"no answer from the tracker at .* in 2 s"),
        ):
            quake_tvm.connect(**client, timeout=2)


def test_a_tracker_without_such_a_board(pi, tracker):
    client = {"tracker": f"127.0.0.1:{tracker}", "key": "phone"}
    with pytest.raises(QuakeError, match="no board with the key 'phone'; it has none"):
        quake_tvm.connect(**client)
    there = ("127.0.0.1", tracker)
    with Board(pi, there, "pi 4"), Board(pi, there, 'the "best"'):
        says = "no board with the key 'phone'; those it has: pi 4, the \"best\""
        with pytest.raises(QuakeError, match=says):
            quake_tvm.connect(**client)


def test_tvms_own_server():
    pytest.importorskip("cloudpickle", reason="TVM's server needs it: pip install cloudpickle")
    pytest.importorskip("psutil", reason="TVM's server needs it: pip install psutil")
    model = compiled("native")
    with tvm_service("rpc_server") as port:
        for _ in range(2):
            with quake_tvm.connect(f"127.0.0.1:{port}") as remote:
                assert same_bits(remote.load(model).run(X), model.run(X))
    assert soon(lambda: is_free(port))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "mlp.onnx"
    onnx.save(mlp(4), path)
    return path


def test_run_in_the_shell(board, file, tmp_path):
    there = "--rpc", address(board)
    done = quake("run", file, "-t", "raspberry-pi-4", *there, "--json")
    assert done.returncode == 0, done.stderr
    apart = json.loads(done.stdout)["to_this_machine"]
    assert apart["absolute"] < 1e-6
    library = tmp_path / "mlp.so"
    quake_tvm.compile(file, "raspberry-pi-4").export(library)
    done = quake("run", library, *there)
    assert done.returncode == 0, done.stderr
    assert f"ms a call on the board at {address(board)}" in done.stdout
    assert "not compared" in done.stdout


def test_bench_in_the_shell(board, file):
    arguments = ["-t", "raspberry-pi-4", "--rpc", address(board), "--rounds", 1, "--json"]
    done = quake("bench", file, *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cpu"] == f"the board at {address(board)}"
    (case,) = found["cases"]
    names = {row["contender"] for row in case["contenders"]}
    assert names == {DEFAULT_METHOD, "exact", "TVM default", "FastMath", "FastMath scheduled"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("run {file} -t raspberry-pi-4", "give --rpc or --tracker"),
        ("run {file} --rpc 127.0.0.1", "HOST:PORT"),
        ("run {file} --key pi", "the address of a board"),
        ("bench {file} -t raspberry-pi-4", "give a board"),
        ("bench {file} --static --rpc 127.0.0.1:1", "--static takes no time"),
    ],
)
def test_what_the_user_got_wrong_in_the_shell(file, arguments, says):
    done = quake(*arguments.format(file=file).split())
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert says in done.stderr


def test_threads_ask_in_turn(monkeypatch):
    at_once, most = 0, []

    def ask(*_: object) -> None:
        nonlocal at_once
        at_once += 1
        most.append(at_once)
        time.sleep(0.001)
        at_once -= 1

    with Remote("the board", 1.0) as remote, ThreadPoolExecutor(8) as pool:
        monkeypatch.setattr(remote._worker, "ask", ask)
        list(pool.map(remote.use_threads, range(1, 41)))
    assert most == [1] * 40
