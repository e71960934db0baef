"""``quake-tvm bench --static``: each build's kernels, their calls and totals, and the output."""

import json
import shutil

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from quake_tvm import QuakeError
from quake_tvm.bench import cases, show_static, static
from quake_tvm.cli.app import app
from quake_tvm.emulation import count, kernel, mca
from quake_tvm.machines.targets import target
from quake_tvm.options import DEFAULT_METHOD
from tests.emulation.test_count import counted
from tests.shell import quake
from tests.test_compiler import mlp

NAME = "cortex-a72"


@pytest.fixture
def fake(monkeypatch):
    """Nothing is compiled or run: a kernel's instructions are derived from its results."""
    log = []

    def execution(library, name, arrays, results, on, sample):
        log.append((name, [a.shape for a in arrays]))
        return count.Execution(10 * int(np.prod(results[0][0])), ["1f2003d5"] * 10)

    monkeypatch.setattr(kernel, "export", lambda functions, on, library: library)
    monkeypatch.setattr(count, "execution", execution)
    monkeypatch.setattr(mca, "cycles", lambda sample, on: 2 * len(sample))
    return log


def node(kind, *inputs, out="y"):
    return onnx.helper.make_node(kind, list(inputs), [out])


def graph(nodes, **constants):
    """A model from x to y, both 4 by 8."""
    x, y = (onnx.helper.make_tensor_value_info(name, 1, (4, 8)) for name in "xy")
    weights = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "net", [x], [y], weights))


def result(case, methods=("quake2",), on=NAME):
    return static.Meter(target(on)).result(case, methods, lambda what: None)


def test_a_kernel_in_all_builds(fake):
    (case,) = cases.small(["exp"])
    found = result(case, ["quake1", "quake5"])
    assert list(found.builds) == ["quake1", "quake5", *static.SCHEDULED, *static.DEFAULT]
    assert all(found.total(b) == static.Cost(40960, 81920.0) for b in found.builds)
    assert fake[0] == ("quake_exp", [(4096,)])


def test_a_model_is_the_sum_of_its_kernels_and_their_calls(fake):
    twice = graph(
        [
            node("MatMul", "x", "w", out="p"),
            node("Softmax", "p", out="s"),
            node("MatMul", "s", "w"),
        ],
        w=np.eye(8, dtype=np.float32),
    )
    found = result(cases.Case("net", "4x8", twice))
    assert list(found.builds) == ["quake2", *static.SCHEDULED]
    for build, kernels in found.builds.items():
        assert sum(k.calls for k in kernels) == 3
        assert found.total(build) == static.Cost(3 * 320, 2.0 * 3 * 320)
    # A kernel that two builds share is counted once.
    assert [name for name, _ in fake].count("matmul") == 1


def test_a_scalar_has_no_axis(fake):
    scaled = graph([node("Mul", "x", "s", out="m"), node("Exp", "m")])
    scaled.graph.input.append(onnx.helper.make_tensor_value_info("s", 1, ()))
    result(cases.Case("scaled", "4x8", scaled))
    assert [(4, 8), ()] in [shapes for _, shapes in fake]


def test_no_model_no_cycles(fake):
    (case,) = cases.small(["exp"])
    found = result(case, on="armv7")
    assert found.total("quake2").cycles is None
    text = show_static.tables([found])
    assert "executed instructions an element" in text
    assert "cycles an element" not in text


def made_up(**builds):
    """A made-up result of a model, from kernels by build: (name, calls, instructions, cycles)."""
    return static.Result(
        cases.Case("net.onnx", "1x8", mlp()),
        {
            build: [static.Kernel(n, n, calls, static.Cost(i, c)) for n, calls, i, c in kernels]
            for build, kernels in builds.items()
        },
    )


def test_tables_of_a_model():
    shared = ("matmul", 2, 500_000, 250_000.0)
    found = made_up(
        quake2=[shared, ("quake_gelu", 1, 500_000, 500_000.0)],
        exact=[shared, ("gelu", 1, 1_000_000, 1_500_000.0)],
    )
    lines = show_static.tables([found]).splitlines()
    rows = [line.split() for line in lines]
    assert ["matmul", "2", "500", "500"] in rows
    assert ["quake_gelu", "1", "500"] in rows
    assert ["all", "1,000", "2,000"] in rows
    assert "quake2 saves 25.0% of exact's instructions, 50.0% of its cycles" in lines
    # The most expensive kernel first.
    names = [row[0] for row in rows if row and row[0] in ("matmul", "quake_gelu", "gelu")]
    assert names[0] == "gelu"


def test_in_the_shell():
    counted(NAME)
    try:
        mca.version()
    except QuakeError as error:
        pytest.skip(f"{error} (sh tests/install_cross_tools.sh)")
    done = quake("bench", "--static", "-t", NAME, "-k", "exp", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["target"], found["model"]) == (NAME, NAME)
    (case,) = found["cases"]
    cost = {build["build"]: build for build in case["builds"]}
    for unit in ("instructions", "cycles"):
        assert 0 < cost[DEFAULT_METHOD][unit] < cost["exact"][unit]
    # exact calls libm's function for every element.
    assert cost["exact"]["instructions"] > 20 * case["elements"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--threads 2", "--static takes no time"),
        ("--rounds 3", "--static takes no time"),
        ("--plot x.png", "--static takes no time"),
        ("-k matmul", "unknown kernel 'matmul'; choose from: softmax"),
        ("-m quake9", "unknown method"),
        ("-t riscv64 -k exp", "cannot emulate riscv64"),
        ("missing.onnx", "no such file"),
    ],
)
def test_what_the_user_got_wrong(monkeypatch, arguments, says):
    for name in ("TVM_NUM_THREADS", "TVM_BIND_THREADS"):
        monkeypatch.setenv(name, "1")  # so that monkeypatch restores what bench sets
    found = CliRunner().invoke(app, ["bench", "--static", *arguments.split()])
    assert isinstance(found.exception, QuakeError)
    assert says in str(found.exception)


def test_no_tools(monkeypatch):
    counted(NAME)
    qemu = shutil.which("qemu-aarch64")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(QuakeError, match="no qemu-aarch64: install"):
        static.Meter(target(NAME)).facts()
    monkeypatch.setattr(count, "version", lambda on: qemu)
    mca._llvm.cache_clear()
    with pytest.raises(QuakeError, match="no llvm-mca"):
        static.Meter(target(NAME)).facts()
