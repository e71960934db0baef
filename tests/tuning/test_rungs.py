"""The times of rungs in records. ``max_error`` selects the best allowed rung by them."""

import pytest
from tvm import relax

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.numerics.operators import within
from quake_tvm.schedules import schedule
from quake_tvm.schedules.records.book import Book
from quake_tvm.schedules.records.trace import fingerprint
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning import search, session
from quake_tvm.tuning import tune as module
from tests.helpers import module as model_of
from tests.helpers import once
from tests.schedules.sample_records import plant, record
from tests.tuning.fakes import PRICE, FakeRunner, NoSketches, both, dense, product, tasks_of
from tests.tuning.test_tune import records

LIMIT = 1e-3
ALLOWED = ["quake3", "quake4", "quake5"]


@pytest.fixture
def runner(monkeypatch):
    runner = FakeRunner()
    monkeypatch.setattr(module, "ClockRunner", lambda _: runner)
    monkeypatch.setattr(search, "Sketches", NoSketches)
    return runner


def tune(mod, folder, max_error=LIMIT, **options):
    return quake_tvm.tune(mod, records=folder, max_error=max_error, cost_model="random", **options)


def own(mod, method):
    """The fingerprints of a model's kernels on a rung, with the rules' default schedules."""
    kernels = [k for task in tasks_of(mod, method=method) for k in task.kernels]
    return [fingerprint(schedule(kernel.function, target())) for kernel in kernels]


def rungs(folder):
    return {site: costs for record in records(folder) for site, costs in record.rungs.items()}


@pytest.mark.parametrize(
    ("costs", "best"),
    [((1.0, 1.01, 1.5), "quake4"), ((1.0, 1.5, 1.019), "quake5"), ((1.0, 1.03, 1.03), "quake3")],
)
def test_the_most_accurate_of_the_cheapest(tmp_path, runner, costs, best):
    assert within("gelu", LIMIT) == ALLOWED
    for method, cost in zip(ALLOWED, costs, strict=True):
        runner.prices |= dict.fromkeys(own(product(), method), cost * PRICE)
    tune(product(), tmp_path)
    told = {m: pytest.approx(c * PRICE) for m, c in zip(ALLOWED, costs, strict=True)}
    assert rungs(tmp_path) == {"gelu 8x16": told}
    report = quake_tvm.compile(product(), max_error=LIMIT, records=tmp_path).report
    assert [site.method for site in report.sites] == [best]


def test_every_kernel_of_a_task_has_its_sites(tmp_path, runner):
    def network(x):
        for activation in (relax.op.nn.gelu, relax.op.nn.silu):
            x = once(activation(dense(x, 8, 8)))
        return x

    mod = model_of(network, (4, 8))
    tune(mod, tmp_path)
    assert set(rungs(tmp_path)) == {"gelu 4x8", "silu 4x8"}


def test_what_no_rung_is_good_enough_for_stays_exact(tmp_path, runner):
    limit = 1e-6
    assert not within("softmax", limit)
    tune(both(), tmp_path, limit)
    told = {site: list(costs) for site, costs in rungs(tmp_path).items()}
    assert told == {"gelu 32x32": within("gelu", limit)} == {"gelu 32x32": ["quake5"]}


def test_without_max_error_there_are_none(tmp_path, runner):
    quake_tvm.tune(product(), records=tmp_path, cost_model="random")
    assert not rungs(tmp_path)


def test_rungs_of_what_was_not_tried_say_nothing_of_choices(tmp_path, runner):
    runner.prices = dict.fromkeys(own(both(), "quake3"), 1.0)
    state = tune(both(), tmp_path, trials=1)
    assert [work.trials for work in state.works] == [1, 0]
    assert set(rungs(tmp_path)) == {"softmax 32x64", "gelu 32x32"}
    untried = state.works[1].task.key
    plant(tmp_path, record("native", untried.operator, (1025,), {"several": 2}))
    found = Book.of(tmp_path, target()).decide(untried)
    assert found.source == "record of 1025"


def test_an_interrupt_keeps_what_is_timed(tmp_path, runner, monkeypatch):
    compare = runner.compare

    def interrupted(kernels, rounds):
        if rungs(tmp_path):
            raise KeyboardInterrupt
        return compare(kernels, rounds)

    monkeypatch.setattr(runner, "compare", interrupted)
    monkeypatch.setattr(session, "NEAR", 0)  # no comparison comes before
    state = tune(both(), tmp_path)
    assert state.stopped == "interrupted"
    assert len(rungs(tmp_path)) == 1
    assert state.records == len(records(tmp_path))


@pytest.mark.usefixtures("all_of_the_rules_only")
def test_rungs_are_timed_with_weights_packed_as_the_best_has_them(tmp_path, runner):
    wide = product(columns=64)
    (kernel,) = (k for task in tasks_of(wide, method="quake3") for k in task.kernels)
    first, *left = candidates(kernel.function, target())
    best = next(c for c in left if c.layout not in (0, first.layout))
    runner.prices[fingerprint(best.function)] = PRICE / 2
    state = tune(wide, tmp_path)
    assert state.works[0].choice.layout == best.layout
    assert fingerprint(best.function) in runner.compared[-1]
    assert len(runner.compared[-1]) == len(ALLOWED)
