"""MetaSchedule, AutoScheduler and AutoTVM on lowered modules: they see it, tune it and use that."""

import numpy as np
import pytest
import tvm
import tvm.tir.tensor_intrin.x86  # MetaSchedule's rules for AVX-512 want it
from tvm import auto_scheduler, autotvm, relay
from tvm import meta_schedule as ms

import quake_tvm
from quake_tvm.named_targets import target

from .modules import build, c, module, run

METHOD = "quake3"
TARGET = target()
RNG = np.random.default_rng(0)
WEIGHTS = relay.const(RNG.normal(0, 0.2, (48, 48)).astype(np.float32))
X = RNG.standard_normal((32, 48), dtype="float32")
TUNERS = ["meta_schedule", "auto_scheduler"]
KERNELS = {
    "fused_nn_dense_quake_gelu",
    "fused_nn_dense_quake_sigmoid",
    "fused_quake_softmax",
}


def network(x):
    h = relay.nn.dense(x, WEIGHTS)
    gelu = h * c(0.5) * (c(1) + relay.erf(h * c(0.5**0.5)))
    return relay.nn.softmax(relay.sigmoid(relay.nn.dense(gelu, WEIGHTS)))


def gated(x):
    """Reads the sigmoid's result in two places."""
    s = relay.sigmoid(x)
    return relay.strided_slice(s, [0, 0], [32, 24]) * relay.strided_slice(s, [0, 24], [32, 48])


def lowered(formula=network):
    return quake_tvm.QuAKE(method=METHOD)(module(formula, X.shape))


def assert_same(lib, formula=network):
    """What TVM's own schedules give, as closely as the finest rung computes."""
    rounding = quake_tvm.bound("softmax", "quake5").relative
    np.testing.assert_allclose(run(lib, X), run(build(lowered(formula)), X), rtol=rounding)


def meta_schedule_tasks(mod, **options):
    return ms.relay_integration.extract_tasks(mod, TARGET, None, **options)


def tuned_by_meta_schedule(formula, folder):
    tasks = meta_schedule_tasks(lowered(formula))
    return ms.relay_integration.tune_relay(
        lowered(formula),
        {},
        TARGET,
        str(folder),
        max_trials_global=2 * len(tasks),
        max_trials_per_task=2,
        num_trials_per_iter=2,
        runner=ms.runner.LocalRunner(
            evaluator_config=ms.runner.EvaluatorConfig(number=1, repeat=1, min_repeat_ms=0)
        ),
        cost_model="random",
        strategy="replay-trace",
        seed=0,
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tuned_by_meta_schedule(network, tmp_path_factory.mktemp("meta_schedule"))


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


def test_meta_schedule_tunes_what_is_read_twice(tmp_path):
    database = tuned_by_meta_schedule(gated, tmp_path)
    assert_has_records(database, meta_schedule_tasks(lowered(gated)))
    assert_same(ms.relay_integration.compile_relay(database, lowered(gated), TARGET, None), gated)


def test_meta_schedule_records_fit_the_context(database):
    inside = quake_tvm.PassContext(opt_level=3, method=METHOD)
    tasks = meta_schedule_tasks(module(network, X.shape), instruments=list(inside.instruments))
    assert {task.task_name for task in tasks} == KERNELS
    assert_has_records(database, tasks)
    with database, context("meta_schedule", quake=True) as quake:
        assert_same(relay.build(module(network, X.shape), TARGET))
    assert {site.kernel for site in quake.report.sites} == KERNELS


def test_a_tuner_opens_its_own_context():
    with quake_tvm.PassContext(opt_level=3, method=METHOD):
        tasks = meta_schedule_tasks(module(network, X.shape))
    assert not KERNELS & {task.task_name for task in tasks}


@pytest.mark.parametrize("quake", [False, True])
@pytest.mark.parametrize("tuner", TUNERS)
def test_without_records(tuner, quake):
    mod = module(network, X.shape) if quake else lowered()
    with ms.database.MemoryDatabase(), context(tuner, quake):
        assert_same(relay.build(mod, TARGET))


def auto_scheduler_tasks():
    """Without the rewriting of weights, which breaks TVM's own dense too."""
    tasks, _ = auto_scheduler.extract_tasks(lowered()["main"], {}, TARGET)
    return [
        auto_scheduler.SearchTask(
            workload_key=task.workload_key,
            target=TARGET,
            layout_rewrite_option=auto_scheduler.LayoutRewriteOption.NO_REWRITE,
            desc=task.desc,
        )
        for task in tasks
    ]


def test_auto_scheduler_sees_the_formulas():
    tasks = auto_scheduler_tasks()
    assert {task.desc.removeprefix("vm_mod_") for task in tasks} == KERNELS
    assert all("reinterpret" in str(task.compute_dag) for task in tasks)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    log = str(tmp_path_factory.mktemp("auto_scheduler") / "records.json")
    for task in auto_scheduler_tasks():
        policy = auto_scheduler.SketchPolicy(
            task,
            auto_scheduler.RandomModel(),
            params={
                "sample_init_min_population": 4,
                "evolutionary_search_population": 8,
                "evolutionary_search_num_iters": 1,
            },
            verbose=0,
        )
        options = auto_scheduler.TuningOptions(
            num_measure_trials=2,
            num_measures_per_round=2,
            runner=auto_scheduler.LocalRunner(number=1, repeat=1, min_repeat_ms=0),
            measure_callbacks=[auto_scheduler.RecordToFile(log)],
            verbose=0,
        )
        task.tune(options, policy)
    return log


@pytest.mark.parametrize("quake", [False, True])
def test_auto_scheduler_tunes(log, quake):
    mod, tasks = module(network, X.shape) if quake else lowered(), auto_scheduler_tasks()
    with auto_scheduler.ApplyHistoryBest(log) as best, context("auto_scheduler", quake):
        for task in tasks:
            assert best.query(TARGET, task.workload_key, True, task.compute_dag, task.desc)
        assert_same(relay.build(mod, TARGET))


def test_autotvm_finds_its_operators():
    def formula(x):
        image = relay.reshape(x, (1, 3, 16, 32))
        kernel = relay.const(np.ones((4, 3, 3, 3), np.float32))
        features = relay.nn.conv2d(image, kernel, kernel_size=(3, 3), channels=4)
        return relay.nn.softmax(relay.sigmoid(relay.nn.batch_flatten(features)))

    tasks = autotvm.task.extract_from_program(lowered()["main"], {}, TARGET)
    assert {task.name for task in tasks} == {"dense_nopack.x86", "dense_pack.x86"}
    tasks = autotvm.task.extract_from_program(lowered(formula)["main"], {}, TARGET)
    assert {task.name for task in tasks} == {"conv2d_NCHWc.x86"}
