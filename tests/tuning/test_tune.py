"""``tune``: what it refuses at its start, and the records that it writes for ``compile``."""

import sys
import warnings

import numpy as np
import onnx
import pytest
from tvm import relax

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.schedules.records.files import read
from quake_tvm.schedules.records.record import Machine
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning import search
from quake_tvm.tuning import tune as module
from quake_tvm.tuning.session import PATIENCE
from quake_tvm.tvm_version import tir
from tests.helpers import module as model_of
from tests.test_compiler import mlp
from tests.tuning.fakes import (
    PRICE,
    FakeRunner,
    NoSketches,
    both,
    kernel_of,
    prices,
    product,
    softmax,
)

MACHINE = Machine.of(target())


@pytest.fixture
def runner(monkeypatch):
    """Replaces this machine's clock."""
    runner = FakeRunner()
    monkeypatch.setattr(module, "ClockRunner", lambda _: runner)
    yield runner
    assert runner.closed or not runner.asked


@pytest.fixture
def rules_only(monkeypatch):
    monkeypatch.setattr(search, "Sketches", NoSketches)


def tune(mod, folder, **options):
    return quake_tvm.tune(mod, records=folder, **{"cost_model": "random"} | options)


def records(folder):
    """All records in the folder, in the order of each file."""
    paths = sorted((folder / MACHINE.folder).glob("*.jsonl"))
    return [record for path in paths for record in read(path)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ops": ["relu"]}, "no kernel here is relu; there are: gelu, softmax, and nonlinearities"),
        ({"ops": "relu"}, "no kernel here is relu"),
        ({"trials": 0}, "trials must be a whole number from 1 to 2147483647, not 0"),
        ({"trials": -3}, "trials must be a whole number"),
        ({"minutes": -1}, "minutes must be positive and finite, not -1"),
        ({"minutes": float("nan")}, "minutes must be a number, not nan"),
        ({"timeout": 0}, "timeout must be positive"),
        ({"timeout": float("inf")}, "timeout must be positive seconds, at most a day, not inf"),
        ({"tracker": "host:9190"}, "by tracker and key: give both"),
        ({"key": "pi"}, "by tracker and key: give both"),
        ({"tracker": "nowhere", "key": "pi"}, "an address is HOST:PORT, not 'nowhere'"),
        ({"static": True, "tracker": "host:9190", "key": "pi"}, "leave out tracker and key"),
        ({"target": "pentium"}, "pentium"),
        ({"cost_model": "neural"}, "choose from: xgboost, random"),
        ({"method": "quake9"}, "unknown method"),
        ({"method": "quake2", "max_error": 1e-3}, "not both"),
        ({"shapes": {"y": (2, 3)}}, "no input 'y'"),
        ({"records": "{file}/records"}, "cannot write .*trials"),
        ({"records": "{file}"}, "cannot write .*trials"),
    ],
    ids=str,
)
def test_bad_input_is_one_line(tmp_path, runner, options, says):
    (tmp_path / "file").write_text("")
    options = {"records": tmp_path / "records", "cost_model": "random"} | options
    options["records"] = str(options["records"]).format(file=tmp_path / "file")
    with pytest.raises(QuakeError, match=says) as error:
        quake_tvm.tune(both(), **options)
    assert "\n" not in str(error.value)
    assert not runner.asked
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_cost_models_package_is_missing(tmp_path, runner, monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(QuakeError, match="pip install 'xgboost"):
        tune(softmax(), tmp_path, cost_model="xgboost")
    assert not list(tmp_path.iterdir())


def test_another_machines_code(tmp_path):
    with pytest.raises(QuakeError, match="give a tracker and the key of its boards"):
        tune("missing.onnx", tmp_path, target="raspberry-pi-4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("model", "says"), [("missing.onnx", "missing.onnx"), (3, "cannot")])
def test_what_is_no_model(tmp_path, runner, model, says):
    with pytest.raises(QuakeError, match=says):
        tune([softmax(), model], tmp_path)
    assert runner.closed
    assert not list(tmp_path.iterdir())


def test_shapes_that_are_not_known(tmp_path, runner):
    dynamic = model_of(relax.op.nn.softmax, (tir.Var("n", "int64"), 64))
    with pytest.raises(QuakeError, match=r"no kernel has constant shapes.*: give shapes"):
        tune(dynamic, tmp_path)
    assert not list(tmp_path.iterdir())
    assert tune(dynamic, tmp_path, shapes={"x0": (32, 64)}).trials


@pytest.mark.usefixtures("rules_only")
def test_compile_takes_what_was_found(tmp_path, runner):
    runner.prices = prices(kernel_of(product()), lambda n: PRICE * n["rows"] * (1 + n["unroll"]))
    state = tune(product(), tmp_path)
    (work,) = state.works
    (*_, record) = records(tmp_path)
    assert record.machine == MACHINE
    assert (record.key, record.numbers) == (work.task.key, work.choice.numbers)
    assert (record.measured, record.trace) == ("clock", None)
    assert 0 < record.trials <= state.trials
    assert record.ratio == pytest.approx(work.ratio) == pytest.approx(state.ratio)
    assert state.records == len(records(tmp_path))
    tuned, ruled = (quake_tvm.compile(product(), records=r) for r in (tmp_path, False))
    assert set(tuned.report.records.values()) == {"record, same shape"}
    x = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    np.testing.assert_array_equal(tuned.run(x)[0], ruled.run(x)[0])


def test_compile_takes_metaschedules_own_for_the_kernel(tmp_path, runner):
    runner.prices = prices(kernel_of(product()), lambda _: 2 * PRICE)
    state = tune(product(), tmp_path, trials=12)
    assert state.works[0].choice.trace is not None
    (record,) = records(tmp_path)
    assert (record.numbers, record.trials, record.ratio) == (None, 12, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned = quake_tvm.compile(product(), records=tmp_path)
    assert set(tuned.report.records.values()) == {"record, same kernel"}
    x = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    (ruled,) = quake_tvm.compile(product(), records=False).run(x)
    np.testing.assert_array_equal(tuned.run(x)[0], ruled)


@pytest.mark.usefixtures("rules_only")
def test_kernels_in_common_are_tuned_once(tmp_path, runner):
    state = tune([softmax(), both(), softmax()], tmp_path)
    assert [(w.name, w.task.kernels[0].calls) for w in state.works] == [
        ("softmax 32x64", 3),
        ("gelu 1024", 1),
    ]
    assert len(runner.asked) == len(set(runner.asked))
    assert {record.key.operator for record in records(tmp_path)} == {"softmax", "gelu"}


@pytest.mark.usefixtures("rules_only")
@pytest.mark.parametrize(
    ("ops", "expected"),
    [("softmax", {"softmax"}), (["gelu"], {"gelu"}), (["nonlinearities"], {"softmax", "gelu"})],
)
def test_only_some_operators(tmp_path, runner, ops, expected):
    mod = model_of(
        lambda x, y, z: (
            relax.op.nn.softmax(x),
            relax.op.nn.gelu(y),
            relax.op.matmul(z, z),
        ),
        (32, 64),
        (32, 32),
        (8, 8),
    )
    tune(mod, tmp_path, ops=ops)
    assert {record.key.operator for record in records(tmp_path)} == expected


@pytest.mark.usefixtures("rules_only")
def test_resume(tmp_path, runner, monkeypatch):
    monkeypatch.delenv("TVM_NUM_THREADS", raising=False)
    state = tune(softmax(), tmp_path)
    assert len(runner.asked) == 1 + state.trials
    assert tune(softmax(), tmp_path, resume=True).trials == state.trials
    assert len(runner.asked) == 1 + state.trials
    monkeypatch.setenv("TVM_NUM_THREADS", "1")
    tune(softmax(), tmp_path, resume=True)
    assert len(runner.asked) == 2 * (1 + state.trials)
    tune(softmax(), tmp_path)
    assert len(runner.asked) == 3 * (1 + state.trials)


@pytest.mark.usefixtures("rules_only")
def test_an_onnx_file_with_shapes(tmp_path, runner):
    path = tmp_path / "mlp.onnx"
    onnx.save(mlp(), path)
    state = tune(path, tmp_path / "records", shapes={"x": (40, 8)}, ops=["softmax"])
    assert {work.name for work in state.works if work.trials} == {"softmax 40x16"}


@pytest.mark.usefixtures("rules_only")
def test_models_with_inputs_of_their_own(tmp_path, runner):
    """Each model takes the shapes of its own inputs."""

    def named(name):
        nodes = [onnx.helper.make_node("Softmax", [name], ["y"])]
        kind = onnx.TensorProto.FLOAT
        x, y = (onnx.helper.make_tensor_value_info(n, kind, ["n", 64]) for n in (name, "y"))
        graph = onnx.helper.make_graph(nodes, "graph", [x], [y])
        opset = [onnx.helper.make_opsetid("", 17)]
        return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)

    onnx.save(named("b"), tmp_path / "b.onnx")
    models, shapes = [named("a"), tmp_path / "b.onnx"], {"a": (32, 64), "b": (16, 64)}
    state = tune(models, tmp_path, shapes=shapes, trials=1)
    assert {work.name for work in state.works} == {"softmax 32x64", "softmax 16x64"}
    with pytest.raises(QuakeError, match="no model has an input named c"):
        tune(models, tmp_path, shapes=shapes | {"c": (1, 1)})


def test_without_a_budget_it_ends_by_itself(tmp_path, runner):
    state = tune(product(), tmp_path)
    count = len(candidates(kernel_of(product()).function, target())) - 1
    assert state.stopped == "nothing left to try"
    assert state.trials == min(count, PATIENCE)
