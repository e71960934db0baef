"""MetaSchedule, AutoScheduler and AutoTVM see lowered modules, tune them and use the results."""

import numpy as np
import pytest
import tvm
import tvm.tir.tensor_intrin.x86  # MetaSchedule's rules for AVX-512 need this import
from tvm import auto_scheduler, autotvm, relay
from tvm import meta_schedule as ms

import quake_tvm
from quake_tvm.machines.targets import target

from .modules import build, c, module, run

METHOD = "quake3"
TARGET = target()
RNG = np.random.default_rng(0)
X = RNG.standard_normal((1, 4, 8, 16), dtype="float32")
TUNERS = ["meta_schedule", "auto_scheduler"]
KERNELS = {
    "fused_nn_conv2d_quake_gelu",
    "fused_reshape_quake_sigmoid_strided_slice_strided_slice_multiply",
    "fused_nn_dense_quake_tanh",
    "fused_quake_softmax",
}
# TVM's AutoScheduler rewrites dense's weights, which fails with and without this library.
TUNED_BY_AUTO_SCHEDULER = {"fused_nn_conv2d_quake_gelu", "fused_quake_softmax"}


def weights(*shape):
    return relay.const(RNG.normal(0, 0.2, shape).astype(np.float32))


FILTER, MATRIX = weights(1, 1, 16, 32), weights(48, 16)


def network(x):
    h = relay.nn.conv2d(
        x, FILTER, kernel_size=(1, 1), channels=32, data_layout="NHWC", kernel_layout="HWIO"
    )
    gelu = relay.reshape(h * c(0.5) * (c(1) + relay.erf(h * c(0.5**0.5))), (32, 32))
    gate = relay.sigmoid(gelu)  # read in two places
    halves = [relay.strided_slice(gate, [0, k], [32, k + 16]) for k in (0, 16)]
    return relay.nn.softmax(relay.tanh(relay.nn.dense(halves[0] * halves[1], MATRIX)))


def unlowered():
    return module(network, X.shape)


def lowered():
    return quake_tvm.QuAKE(method=METHOD)(unlowered())


def assert_same(lib):
    """Check that the results agree with TVM's default schedules, to the finest rung's accuracy."""
    rounding = quake_tvm.bound("softmax", "quake5").relative
    np.testing.assert_allclose(run(lib, X), run(build(lowered()), X), rtol=rounding)


def meta_schedule_tasks(mod, **options):
    return ms.relay_integration.extract_tasks(mod, TARGET, None, **options)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    runner = ms.runner.LocalRunner(
        evaluator_config=ms.runner.EvaluatorConfig(number=1, repeat=1, min_repeat_ms=0)
    )
    return ms.relay_integration.tune_relay(
        lowered(),
        {},
        TARGET,
        str(tmp_path_factory.mktemp("meta_schedule")),
        max_trials_global=2 * len(KERNELS),
        max_trials_per_task=2,
        num_trials_per_iter=2,
        runner=runner,
        cost_model="random",
        strategy="replay-trace",
        seed=0,
    )


def assert_has_records(database, tasks):
    for task in tasks:
        assert database.query_tuning_record(task.dispatched[0], TARGET, task.task_name)


def context(tuner, quake=False):
    config = {f"relay.backend.use_{tuner}": True}
    if quake:
        return quake_tvm.PassContext(opt_level=3, config=config, method=METHOD)
    return tvm.transform.PassContext(opt_level=3, config=config)


def test_meta_schedule_sees_the_formulas():
    tasks = meta_schedule_tasks(lowered())
    assert {task.task_name for task in tasks} == KERNELS
    for task in tasks:
        script = task.dispatched[0].script()
        assert "reinterpret" in script
        assert "T.exp(" not in script


def test_meta_schedule_tunes(database):
    assert_has_records(database, meta_schedule_tasks(lowered()))
    assert_same(ms.relay_integration.compile_relay(database, lowered(), TARGET, None))


def test_meta_schedule_records_fit_the_context(database):
    inside = quake_tvm.PassContext(opt_level=3, method=METHOD)
    tasks = meta_schedule_tasks(unlowered(), instruments=list(inside.instruments))
    assert {task.task_name for task in tasks} == KERNELS
    assert_has_records(database, tasks)
    with database, context("meta_schedule", quake=True) as quake:
        assert_same(relay.build(unlowered(), TARGET))
    assert {site.kernel for site in quake.report.sites} == KERNELS


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_nothing_to_do_is_no_trouble(shape):
    mod = quake_tvm.QuAKE(method=METHOD)(module(relay.nn.softmax, shape))
    assert [task.task_name for task in meta_schedule_tasks(mod)] == ["fused_quake_softmax"]
    with ms.database.MemoryDatabase(), context("meta_schedule"):
        relay.build(mod, TARGET)


def test_a_tuner_opens_its_own_context():
    with quake_tvm.PassContext(opt_level=3, method=METHOD):
        tasks = meta_schedule_tasks(unlowered())
    assert not KERNELS & {task.task_name for task in tasks}


@pytest.mark.parametrize("quake", [False, True])
@pytest.mark.parametrize("tuner", TUNERS)
def test_without_records(tuner, quake):
    mod = unlowered() if quake else lowered()
    with ms.database.MemoryDatabase(), context(tuner, quake):
        assert_same(relay.build(mod, TARGET))


def auto_scheduler_tasks():
    """The tasks by kernel. Kernels without a sum need no tuner."""
    tasks, _ = auto_scheduler.extract_tasks(lowered()["main"], {}, TARGET)
    return {task.desc.removeprefix("vm_mod_"): task for task in tasks}


def test_auto_scheduler_sees_the_formulas():
    tasks = auto_scheduler_tasks()
    assert tasks.keys() == {name for name in KERNELS if "slice" not in name}
    assert all("reinterpret" in str(task.compute_dag) for task in tasks.values())


# The time limit of a build or a run, in seconds, also on a busy machine.
PATIENCE = 300


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Records of schedules that are right without this library: TVM samples some that are not."""
    for seed in range(5):
        log = str(tmp_path_factory.mktemp("auto_scheduler") / "records.json")
        _tune(log, seed)
        with auto_scheduler.ApplyHistoryBest(log), context("auto_scheduler", False):
            found = run(relay.build(lowered(), TARGET), X)
        if np.allclose(found, run(build(lowered()), X), rtol=1e-5):
            return log
    raise AssertionError("none of five searches of TVM found right schedules")


def _tune(log, seed):
    tasks = auto_scheduler_tasks()
    for task in [tasks[name] for name in sorted(TUNED_BY_AUTO_SCHEDULER)]:
        policy = auto_scheduler.SketchPolicy(
            task,
            auto_scheduler.RandomModel(),
            params={
                "sample_init_min_population": 4,
                "evolutionary_search_population": 8,
                "evolutionary_search_num_iters": 1,
            },
            seed=seed,
            verbose=0,
        )
        options = auto_scheduler.TuningOptions(
            num_measure_trials=2,
            num_measures_per_round=2,
            builder=auto_scheduler.LocalBuilder(timeout=PATIENCE),
            runner=auto_scheduler.LocalRunner(
                timeout=PATIENCE, number=1, repeat=1, min_repeat_ms=0
            ),
            measure_callbacks=[auto_scheduler.RecordToFile(log)],
            verbose=0,
        )
        task.tune(options, policy)


@pytest.mark.parametrize("quake", [False, True])
def test_auto_scheduler_tunes(log, quake):
    mod, tasks = unlowered() if quake else lowered(), auto_scheduler_tasks()
    with auto_scheduler.ApplyHistoryBest(log) as best, context("auto_scheduler", quake):
        for task in [tasks[name] for name in TUNED_BY_AUTO_SCHEDULER]:
            assert best.query(TARGET, task.workload_key, True, task.compute_dag, task.desc)
        assert_same(relay.build(mod, TARGET))


def test_autotvm_finds_its_operators():
    def convolved(x):
        filters = weights(8, 4, 3, 3)
        return relay.sigmoid(relay.nn.conv2d(x, filters, kernel_size=(3, 3), channels=8))

    dense = autotvm.task.extract_from_program(lowered()["main"], {}, TARGET)
    assert {task.name for task in dense} == {"dense_nopack.x86", "dense_pack.x86"}
    image = quake_tvm.QuAKE(method=METHOD)(module(convolved, X.shape))
    (convolution,) = autotvm.task.extract_from_program(image["main"], {}, TARGET)
    assert convolution.name == "conv2d_NCHWc.x86"
