"""A session's order, budgets and guarantees, with a runner whose answers are all known."""

import json

import pytest

from quake_tvm.machines.targets import target
from quake_tvm.schedules.records.trace import fingerprint
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning import search, session
from quake_tvm.tuning.runner import Timing
from tests.tuning.fakes import (
    PRICE,
    FakeRunner,
    NoSketches,
    both,
    kernel_of,
    prices,
    product,
    softmax,
    tasks_of,
)
from tests.tuning.runs import Run, others, own, trials

pytestmark = pytest.mark.usefixtures("all_of_the_rules_only")


def test_all_candidates_are_tried_and_the_best_is_kept(tmp_path):
    priced = prices(kernel_of(product()), lambda n: 0.5 + n["rows"] / 10 + n["unroll"])
    priced[own(kernel_of(product()))] = 10.0
    run = Run(tmp_path, FakeRunner(priced), product())
    state = run.start()
    (work,) = state.works
    assert (work.choice.numbers["rows"], work.choice.numbers["unroll"]) == (1, 1)
    assert state.stopped == "nothing left to try"
    assert work.finished == "all tried"
    assert state.trials == work.trials == len(others(product)) == len(trials(run.journal))
    assert state.failed == 0
    assert state.ratio == pytest.approx(min(priced.values()) / 10)
    ratios = [ratio for _, _, ratio in state.curve]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] == state.ratio
    assert run.saved[-1] == ("matmul 8x16x8", work.choice.numbers, min(priced.values()), 10.0)
    assert len(run.saved) == len(state.curve)


def test_the_heaviest_comes_first(tmp_path):
    soft, gelu = (task.kernels[0] for task in tasks_of(both()))
    for heavy, light in ((soft, gelu), (gelu, soft)):
        runner = FakeRunner({own(heavy): 2.0, own(light): 1.0})
        state = Run(tmp_path, runner, both(), trials=1).start()
        assert [work.kernel.hash for work in state.works] == [heavy.hash, light.hash]
        assert [work.trials for work in state.works] == [1, 0]


def test_calls_count(tmp_path):
    soft, gelu = (task.kernels[0] for task in tasks_of(both()))
    runner = FakeRunner({own(soft): 1.0, own(gelu): 1.5})
    state = Run(tmp_path, runner, both(), softmax(), trials=1).start()
    assert [work.spent for work in state.works] == [2.0, 1.5]
    assert state.works[0].kernel.hash == soft.hash


def test_what_brings_nothing_gives_way(tmp_path):
    """Of two tasks the heavier one gets the first batch, but not the second."""
    soft, gelu = (task.kernels[0] for task in tasks_of(both()))
    runner = FakeRunner({own(soft): 1.1, own(gelu): 1.0, **dict.fromkeys(others(softmax), 1.1)})
    runner.batch = 3
    state = Run(tmp_path, runner, both(), trials=6).start()
    assert [work.trials for work in state.works] == [3, 3]


def test_only_what_is_wanted(tmp_path):
    run = Run(tmp_path, FakeRunner(), both())
    state = run.start(lambda task: task.key.operator == "gelu")
    assert {work.name: work.finished for work in state.works} == {
        "softmax 32x64": "not asked for",
        "gelu 1024": "all tried",
    }


@pytest.mark.parametrize("count", [1, 5, 8])
def test_trials_are_as_many_as_allowed(tmp_path, count):
    run = Run(tmp_path, FakeRunner(), product(), trials=count)
    state = run.start()
    assert state.stopped == "the budget is used up"
    assert state.trials == count == len(trials(run.journal))
    assert len(run.runner.asked) == 1 + count
    assert not run.saved  # it is not known yet that the rule is best


def test_a_batch_that_has_begun_is_brought_to_its_end(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(session.time, "monotonic", lambda: now[0])

    class Slow(FakeRunner):
        def measure(self, kernels):
            for item in super().measure(kernels):
                now[0] += 10
                yield item

    state = Run(tmp_path, Slow(), product(), seconds=65).start()  # 10 for the rule, 40 a batch
    assert state.stopped == "the budget is used up"
    assert state.trials == 8
    assert state.seconds == 90


def test_patience_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "PATIENCE", 8)
    run = Run(tmp_path, FakeRunner(), product())
    state = run.start()
    assert state.works[0].finished == "no improvement"
    assert state.trials == 8
    assert run.saved == [("matmul 8x16x8", None, PRICE, PRICE)]


def test_a_record_says_that_the_rule_is_best(tmp_path):
    run = Run(tmp_path, FakeRunner(dict.fromkeys(others(softmax), 2 * PRICE)), softmax())
    assert run.start().works[0].finished == "all tried"
    assert run.saved == [("softmax 32x64", None, PRICE, PRICE)]
    assert not run.runner.compared


def test_a_candidate_that_fails_spoils_nothing_else(tmp_path):
    codes = list(others(softmax))
    priced = dict.fromkeys(codes) | {codes[2]: PRICE / 2}
    run = Run(tmp_path, FakeRunner(priced), softmax())
    state = run.start()
    assert state.trials == len(codes)
    assert state.failed == len(codes) - 1
    assert state.works[0].choice.numbers == others(softmax)[codes[2]]
    assert {t.timing.error for t in trials(run.journal)} == {"", "it fails"}


def test_other_bits_are_never_chosen(tmp_path):
    """This holds for faster candidates, too, and for any order."""
    codes = list(others(softmax))
    priced = dict.fromkeys(codes, PRICE / 10) | {codes[0]: PRICE / 2}
    digests = dict.fromkeys(codes[1:], "other")
    run = Run(tmp_path, FakeRunner(priced, digests), softmax())
    state = run.start()
    assert state.works[0].choice.numbers == others(softmax)[codes[0]]
    assert state.failed == len(codes) - 1
    assert {numbers for codes in run.runner.compared for numbers in codes}.isdisjoint(codes[1:])


def test_what_fails_does_not_say_what_is_right(tmp_path, monkeypatch):
    """Panels of another width are other inputs: such candidates are compared with each other."""
    monkeypatch.setattr(session, "CANDIDATES", 24)
    wide = product(64)
    found = candidates(kernel_of(wide).function, target(), most=24)
    layouts = {fingerprint(c.function): str(c.layout) for c in found}
    assert len(set(layouts.values())) > 1

    class FirstFails(FakeRunner):
        def measure(self, kernels):
            for n, timing in super().measure(kernels):
                foreign = [c for c in self.asked if layouts[c] != layouts[self.asked[0]]]
                first = foreign == self.asked[-1:]
                yield n, Timing(None, "it fails") if first else timing

    state = Run(tmp_path, FirstFails(digests=layouts), wide).start()
    assert (state.trials, state.failed) == (23, 1)


def test_records_are_saved_at_once(tmp_path):
    events = []

    class Noting(FakeRunner):
        def measure(self, kernels):
            events.append("measure")
            return super().measure(kernels)

    codes = list(others(softmax))
    runner = Noting({codes[n]: PRICE / (n + 2) for n in range(len(codes))}, batch=2)
    run = Run(tmp_path, runner, softmax())
    run.session._save = lambda *_: events.append("save")
    run.start()
    first = events.index("save")
    assert events[:first] == ["measure"] * first
    assert "measure" in events[first:]


def test_the_journal_says_what_was_tried(tmp_path):
    run = Run(tmp_path, FakeRunner(), softmax())
    run.start()
    rule, *tried = map(json.loads, run.journal.path.read_text().splitlines())
    assert (rule["choices"], rule["name"]) == ({}, "quake_softmax")
    assert rule["timing"] == {"cost": PRICE, "error": "", "digest": "same"}
    _, *left = candidates(kernel_of(softmax()).function, target())
    assert sorted(str(c.numbers) for c in left) == sorted(str(t["choices"]) for t in tried)


def test_the_same_code_is_measured_once(tmp_path, monkeypatch):
    class Twins(NoSketches):
        """Proposes the rule's first candidate several times."""

        def propose(self):
            _, twin, *_ = candidates(kernel_of(product()).function, target())
            return [twin] * 3

    monkeypatch.setattr(search, "Sketches", Twins)
    monkeypatch.setattr(search, "EVERY", 1)
    run = Run(tmp_path, FakeRunner(), product(), trials=6)
    assert run.start().trials == 6
    assert len(run.runner.asked) == 2
