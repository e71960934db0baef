"""``quake-tvm bench``: how it measures, which contenders, and its output. No time is asserted."""

import json
import sys
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from quake_tvm import QuakeError
from quake_tvm.bench import cases, compare, peers, runtimes, show
from quake_tvm.cli.app import app
from quake_tvm.machines.targets import target
from quake_tvm.support import plots, timing
from tests.shell import quake
from tests.test_compiler import mlp

OURS = {"quake4", "exact", "TVM default", "FastMath", "FastMath scheduled"}


class Clock:
    """A deterministic clock: a call takes ``seconds``, and is logged by name and count."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def __call__(self, number):
        self.log.append((self.name, number))
        return self.seconds


@pytest.mark.parametrize(
    ("seconds", "number"),
    [(10.0, 1), (0.01, 1), (0.001, 10), (2e-6, 5000), (1e-9, timing.MOST_CALLS), (0.0, None)],
)
def test_calibration_fills_a_turn(seconds, number):
    calls, turn = timing.calibrate(Clock("a", seconds, []))
    assert number in (calls, None)
    assert turn == calls * seconds


def test_rounds_interleave_and_rotate():
    log = []
    timers = {name: timing.Timer(Clock(name, 0.01, log)) for name in "abc"}
    seconds = timing.interleave(timers, 4)
    # Each was calibrated by a call that may take long, and one that counts.
    assert "".join(name for name, _ in log[6:]) == "abc" + "bca" + "cab" + "abc"
    assert seconds == {name: [0.01] * 4 for name in "abc"}


def test_short_calls_are_preceded_by_one_to_come_to_rest():
    log = []
    timing.interleave({"a": timing.Timer(Clock("a", 0.005, log))}, 2)
    assert log[2:] == [("a", 1), ("a", 2)] * 2


def test_a_slow_contender_leaves_early():
    log = []
    timers = {"fast": timing.Timer(Clock("fast", 0.01, log))}
    timers["slow"] = timing.Timer(Clock("slow", timing.BUDGET / 5, log))
    timers["slowest"] = timing.Timer(Clock("slowest", timing.BUDGET, log))
    seconds = timing.interleave(timers, 9)
    assert [len(rows) for rows in seconds.values()] == [9, 5, timing.FEWEST]
    assert [len(rows) for rows in timing.interleave(timers, 1).values()] == [1, 1, 1]


def test_overhead_is_taken_off():
    log = []
    timer = timing.Timer(Clock("all", 0.5, log), Clock("call", 0.125, log))
    assert timer(3) == 0.375
    assert log == [("all", 3), ("call", 3)]


def test_spread_and_ratio():
    assert timing.Spread.of([4, 1, 2, 3, 5]) == timing.Spread(3, 2, 4)
    assert timing.Spread.of([]) is None
    # round by round, for rounds that both have and in which noise left a positive time
    assert timing.ratio([2, 9], [1, 3, 7]) == timing.Spread(2.5, 2.25, 2.75)
    assert timing.ratio([2, 9], [-1, 3]).median == 3
    assert timing.ratio([1], [0]) is None


def test_kernels_have_their_sizes_and_a_tiny_sister_where_calls_count():
    found = {(case.name, case.shape): case for case in cases.kernels()}
    assert {name for name, _ in found} == set(cases.KERNELS)
    assert found["gelu", "4096"].tiny.elements == cases.TINY
    assert found["gelu", "16777216"].tiny is None
    assert found["softmax", "12x197x197"].tiny.shape == "1x1x16"
    assert found["matmul", "128x384x1536"].multiply is None


@pytest.fixture
def small(monkeypatch):
    """Makes the kernels that are measured a few elements large."""
    monkeypatch.setattr(cases, "SIZES", (33,))
    monkeypatch.setattr(cases, "ROWS", ((3, 5),))
    monkeypatch.setattr(cases, "PRODUCT", (4, 8, 16))


@pytest.mark.parametrize("name", cases.KERNELS)
def test_everyone_computes_the_same_kernel(small, name):
    (case,) = cases.kernels([name])
    job = peers.job(case, target(), 1)
    exact = job.exact.run(job.feeds)
    for peer, build in peers.PEERS.items():
        if peer == "PyTorch compiled":  # seconds for each
            continue
        try:
            found = build(job).run()
        except peers.Unavailable:
            continue
        assert compare.difference(found, exact) < 1e-5, peer


def test_compiled_torch_computes_the_same(small):
    pytest.importorskip("torch")
    (case,) = cases.kernels(["matmul_gelu"])
    job = peers.job(case, target(), 1)
    try:
        contender = runtimes.torch_compiled(job)
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    assert compare.difference(contender.run(), job.exact.run(job.feeds)) < 1e-5


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("onnxruntime", ["ONNX Runtime"]),
        ("openvino", ["OpenVINO"]),
        ("torch", ["PyTorch eager", "PyTorch compiled"]),
    ],
)
def test_a_missing_peer_says_how_to_install_it(small, monkeypatch, module, names):
    monkeypatch.setitem(sys.modules, module, None)
    (case,) = cases.kernels(["exp"])
    job = peers.job(case, target(), 1)
    for name in names:
        with pytest.raises(peers.Unavailable, match=f"not installed: pip install {module}"):
            peers.PEERS[name](job)


def test_who_cannot_take_part_is_skipped_with_the_reason(small, monkeypatch):
    def absent(job):
        raise peers.Unavailable("not installed: pip install peer")

    def broken(job):
        raise RuntimeError("\n  it broke\nsomewhere")

    fake = {"exact": peers.PEERS["exact"], "absent": absent, "broken": broken}
    monkeypatch.setattr(compare, "PEERS", fake)
    monkeypatch.setattr(
        compare, "interleave", lambda timers, rounds, rest: dict.fromkeys(timers, [1.0] * rounds)
    )
    (case,) = cases.kernels(["exp"])
    result = compare.compare(case, ["quake2", "quake3"], target(), 1, 2)
    assert [row.contender for row in result.rows] == ["quake2", "quake3", "exact", "multiply"]
    assert result.skipped == {
        "absent": "not installed: pip install peer",
        "broken": "RuntimeError: it broke",
    }
    first, _, exact, multiply = result.rows
    assert first.ratio == timing.Spread(1, 1, 1)
    assert first.lowered == (1, 1)
    assert 0 < first.difference < 0.01
    assert exact.difference == 0
    assert multiply.difference is None
    text = show.tables([result])
    assert text.index("time / time of quake2") < text.index("nanoseconds an element")
    assert "absent skipped: not installed: pip install peer (exp)" in text
    json.dumps(result.to_dict())


def test_this_library_does_not_skip_itself(small, monkeypatch):
    monkeypatch.setattr(compare, "PEERS", {})
    (case,) = cases.kernels(["exp"])
    with pytest.raises(QuakeError, match="unknown method"):
        compare.compare(case, ["quake9"], target(), 1, 1)


def test_difference():
    exact = [np.float32([0.5, 100, np.nan, np.inf])]
    assert compare.difference(exact, exact) == 0
    assert compare.difference([np.float32([0.25, 100, np.nan, np.inf])], exact) == 0.25
    assert compare.difference([np.float32([0.5, 150, np.nan, np.inf])], exact) == 0.5
    assert compare.difference([np.float32([0.5, 100, 0, np.inf])], exact) == np.inf
    assert compare.difference([exact[0][:2]], exact) == np.inf
    assert compare.difference([], exact) == np.inf
    assert compare.difference([np.array([3])], [np.array([4])]) == 0.25


def test_random_inputs_are_fit_for_tokens_and_masks():
    specs = [("x", "float32"), ("input_ids", "int64"), ("attention_mask", "int64"), ("on", "bool")]
    feeds = cases.random_feeds([cases.ModelTensor(name, (50,), dtype) for name, dtype in specs])
    assert [str(array.dtype) for array in feeds.values()] == [dtype for _, dtype in specs]
    assert set(feeds["input_ids"]) == {0, 1}
    assert feeds["attention_mask"].all()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "mlp.onnx"
    onnx.save(mlp(), path)
    return path


def test_model_in_the_shell(model, tmp_path):
    arguments = ["bench", model, "--shape", "x=4,8", "--rounds", 2, "--threads", 2, "--json"]
    if find_spec("matplotlib"):
        arguments += ["--plot", tmp_path / "bench.svg"]
    done = quake(*arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["threads"], found["rounds"]) == (2, 2)
    (case,) = found["cases"]
    assert (case["kind"], case["name"], case["shape"]) == ("model", "mlp.onnx", "4x8")
    rows = {row["contender"]: row for row in case["contenders"]}
    assert rows.keys() >= OURS
    assert "no torch module" in case["skipped"]["PyTorch eager"]
    assert rows.keys() | case["skipped"].keys() == {"quake4", *peers.PEERS}
    assert rows["quake4"]["lowered"] == [2, 2]
    assert all(len(row["rounds"]) == 2 for row in rows.values())
    assert all(row["difference"] < 1e-5 for name, row in rows.items() if name != "quake4")
    if find_spec("matplotlib"):
        assert (tmp_path / "bench.svg").read_text().startswith("<?xml")
        assert len(list(tmp_path.iterdir())) == 1


def test_tables_in_the_shell(model):
    done = quake("bench", model, "--shape", "x=4,8", "--rounds", 1, "-m", "quake3", "-m", "exact")
    assert done.returncode == 0, done.stderr
    assert "time / time of quake3" in done.stdout
    assert "milliseconds" in done.stdout
    assert "2 of 2" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("missing.onnx", "no such file"),
        ("{model}", "--shape x=1,8"),
        ("{model} --shape x=4,9", "does not fit"),
        ("{model} --shape x=4,8 --shape z=1", "no model has an input named z; the inputs: x"),
        ("-k sofmax", "choose from: softmax"),
        ("-m quake9", "unknown method"),
        ("-t aarch64", "does not run aarch64"),
        ("--plot missing/x.png", "cannot write"),
        ("--plot x.docx", "--plot writes"),
    ],
)
def test_what_the_user_got_wrong(model, tmp_path, monkeypatch, arguments, says):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    for name in ("TVM_NUM_THREADS", "TVM_BIND_THREADS"):
        monkeypatch.setenv(name, "1")  # so that monkeypatch restores what bench sets
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["bench", *arguments.format(model=model).split()])
    assert isinstance(found.exception, QuakeError)
    assert says in str(found.exception)
    assert not list(tmp_path.iterdir())


def test_no_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(QuakeError, match="pip install matplotlib"):
        plots.require_matplotlib(tmp_path / "x.png")
