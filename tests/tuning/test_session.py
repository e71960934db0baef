"""A session's order, budgets and promises, with a runner whose every answer is known."""

import json
from functools import cache

import pytest

from quake_tvm import QuakeError
from quake_tvm.named_targets import target
from quake_tvm.schedules import schedule
from quake_tvm.schedules.record_files import RecordWarning
from quake_tvm.schedules.record_trace import fingerprint
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning import search, session
from quake_tvm.tuning.journal import Journal
from quake_tvm.tuning.runner import Timing
from quake_tvm.tuning.session import Budget, Session
from tests.tuning.fakes import (
    PRICE,
    FakeModel,
    FakeRunner,
    NoSketches,
    both,
    kernel_of,
    prices,
    product,
    softmax,
    tasks_of,
)


@pytest.fixture(autouse=True)
def all_of_the_rules_only(monkeypatch):
    monkeypatch.setattr(search, "Sketches", NoSketches)
    monkeypatch.setattr(session, "PATIENCE", 1000)


class Run:
    """A session and what came of it."""

    def __init__(self, folder, runner, *mods, known=(), context="here", **budget):
        self.journal, self.runner, self.saved, self.shown = Journal(folder), runner, [], []
        self.session = Session(
            target(),
            runner,
            FakeModel(),
            self.journal,
            self.save,
            Budget(**budget),
            known=known,
            context=context,
            progress=lambda state: self.shown.append((state.doing, state.trials)),
        )
        self.state = self.session.state
        self.tasks = tasks_of(*mods)

    def save(self, work, cost, rule):
        self.saved.append((work.name, work.choice and work.choice.numbers, cost, rule))

    def start(self, wanted=lambda _: True):
        return self.session.run(self.tasks, wanted)


def own(kernel):
    """The fingerprint of a kernel as its rule schedules it."""
    return fingerprint(schedule(kernel.function, target()))


@cache
def others(make):
    """The candidates of a model's kernel, the rule's own apart: fingerprints to what is recorded.

    Threads that are as the rule has them are not.
    """
    first, *left = candidates(kernel_of(make()).function, target())

    def recorded(numbers):
        alike = numbers.get("parallel") == first.numbers.get("parallel")
        return {k: n for k, n in numbers.items() if not (alike and k == "parallel")}

    return {fingerprint(c.function): recorded(c.numbers) for c in left}


def trials(journal):
    """All in the journal but the rules' own."""
    return [trial for trial in journal.trials() if trial.choices]


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
    """Of two tasks the heavier one has the first batch, and not the second."""
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
    assert not run.saved  # that the rule is best is not known yet


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
    """However fast they are, and whichever comes first."""
    codes = list(others(softmax))
    priced = dict.fromkeys(codes, PRICE / 10) | {codes[0]: PRICE / 2}
    digests = dict.fromkeys(codes[1:], "other")
    run = Run(tmp_path, FakeRunner(priced, digests), softmax())
    state = run.start()
    assert state.works[0].choice.numbers == others(softmax)[codes[0]]
    assert state.failed == len(codes) - 1
    assert {numbers for codes in run.runner.compared for numbers in codes}.isdisjoint(codes[1:])


def test_what_fails_does_not_say_what_is_right(tmp_path, monkeypatch):
    """Panels of another width are other inputs: their candidates are compared with each other."""
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


def test_an_improvement_must_be_confirmed(tmp_path):
    class Lucky(FakeRunner):
        """What is fast by itself is not so beside the rule's."""

        def compare(self, kernels, rounds):
            super().compare(kernels, rounds)
            return [[PRICE] * rounds for _ in kernels]

    run = Run(tmp_path, Lucky(dict.fromkeys(others(softmax), PRICE / 2)), softmax())
    state = run.start()
    assert run.runner.compared
    assert state.works[0].choice is None
    assert state.ratio == 1
    assert not state.curve
    assert run.saved == [("softmax 32x64", None, PRICE, PRICE)]


def test_an_improvement_has_to_beat_the_one_before_side_by_side(tmp_path):
    codes = list(others(softmax))
    runner = FakeRunner({codes[n]: PRICE / (n + 2) for n in range(len(codes))}, batch=1)
    run = Run(tmp_path, runner, softmax())
    run.start()
    assert {len(compared) for compared in runner.compared} == {2, 3}
    chosen = None
    for first, again in zip(runner.compared[::2], runner.compared[1::2], strict=True):
        rule, *before, after = first
        assert rule == own(kernel_of(softmax()))
        assert before == ([chosen] if chosen else [])
        assert again == first[::-1]
        chosen = after
    assert others(softmax)[chosen] == run.state.works[0].choice.numbers


def test_the_best_two_of_a_batch_are_compared(tmp_path):
    """A single timing is off by a little: what is far behind has no second chance."""
    codes = list(others(softmax))[:3]

    class Close(FakeRunner):
        """The second by itself is the first side by side."""

        def compare(self, kernels, rounds):
            super().compare(kernels, rounds)
            costs = {codes[0]: 0.9 * PRICE, codes[1]: 0.8 * PRICE, codes[2]: 0.1 * PRICE}
            return [[costs.get(fingerprint(k), PRICE)] * rounds for k in kernels]

    priced = {codes[0]: 0.99 * PRICE, codes[1]: 1.01 * PRICE, codes[2]: 1.2 * PRICE}
    runner = Close(dict.fromkeys(others(softmax), 2 * PRICE) | priced, batch=8)
    state = Run(tmp_path, runner, softmax()).start()
    ruled = own(kernel_of(softmax()))
    assert runner.compared == [[ruled, *codes[:2]], [codes[1], ruled]]
    assert state.works[0].choice.numbers == others(softmax)[codes[1]]


def test_what_has_beaten_the_best_is_no_worse(tmp_path):
    """Not even where the rule itself took less in the later rounds."""

    class Quieter(FakeRunner):
        def compare(self, kernels, rounds):
            rule, *more = super().compare(kernels, rounds)
            return [rule if len(self.compared) == 1 else [PRICE / 2] * rounds, *more]

    codes = list(others(softmax))
    runner = Quieter({codes[n]: PRICE * 0.8 ** (n + 1) for n in range(len(codes))}, batch=1)
    run = Run(tmp_path, runner, softmax())
    state = run.start()
    assert len(runner.compared) > 1
    ratios = [cost / rule for *_, cost, rule in run.saved]
    assert ratios == sorted(ratios, reverse=True)
    assert [ratio for *_, ratio in state.curve] == pytest.approx(ratios)


def test_what_cannot_be_compared_is_no_improvement(tmp_path):
    class Broken(FakeRunner):
        def compare(self, kernels, rounds):
            return [[PRICE] * rounds, *[[] for _ in kernels[1:]]]

    run = Run(tmp_path, Broken(dict.fromkeys(others(softmax), PRICE / 2)), softmax())
    assert run.start().works[0].choice is None


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


class Ending(FakeRunner):
    """Raises at the so-manieth kernel of all, in the middle of a batch."""

    def __init__(self, error, at, **more):
        super().__init__(**more)
        self.error, self.at = error, at

    def measure(self, kernels):
        for item in super().measure(kernels):
            if len(self.asked) == self.at:
                raise self.error
            yield item


def test_an_interrupt_keeps_what_is_measured(tmp_path):
    run = Run(tmp_path, Ending(KeyboardInterrupt(), at=7), product())
    state = run.start()
    assert state.stopped == "interrupted"
    assert state.current is None
    assert state.trials == len(trials(run.journal)) == 5
    assert "interrupted" in str(state)


def test_an_interrupt_before_the_first_trial(tmp_path):
    state = Run(tmp_path, Ending(KeyboardInterrupt(), at=1), product()).start()
    assert state.stopped == "interrupted"
    assert not state.works
    assert str(state)


def test_an_error_of_the_runners_passes_and_all_is_kept(tmp_path):
    run = Run(tmp_path, Ending(QuakeError("no board is left"), at=7), product())
    with pytest.raises(QuakeError, match="no board is left"):
        run.start()
    assert len(trials(run.journal)) == 5


def test_what_the_rule_makes_fails(tmp_path):
    soft, _ = (task.kernels[0] for task in tasks_of(both()))
    with pytest.warns(UserWarning, match=r"^quake_softmax is left out: it fails$"):
        state = Run(tmp_path, FakeRunner({own(soft): None}), both()).start()
    assert [work.name for work in state.works] == ["gelu 1024"]
    with pytest.raises(QuakeError, match=r"^no kernel can be measured: quake_softmax: it fails$"):
        Run(tmp_path, FakeRunner({own(soft): None}), softmax()).start()


def resumed(tmp_path, first, **more):
    """A second session in the same folder, that knows the first one's trials."""
    runner = FakeRunner(first.runner.prices)
    return Run(tmp_path, runner, product(), known=first.journal.trials(), **more)


def test_what_is_known_is_not_measured_again(tmp_path):
    first = Run(tmp_path, Ending(KeyboardInterrupt(), at=12), product())
    first.start()
    again = resumed(tmp_path, first)
    state = again.start()
    assert not set(again.runner.asked) & {t.candidate for t in trials(first.journal)[:10]}
    assert state.trials == len(others(product))
    pairs = [(t.kernel, t.candidate) for t in again.journal.trials()]
    assert len(pairs) == len(set(pairs)) == 1 + len(others(product))


def test_a_resumed_session_finds_what_the_first_had_found(tmp_path):
    priced = {code: PRICE / (2 + n) for n, code in enumerate(others(product))}
    first = Run(tmp_path, FakeRunner(priced), product(), trials=20)
    first.start()
    again = resumed(tmp_path, first, trials=20)
    state = again.start()
    assert not again.runner.asked
    assert state.trials == 20
    assert state.works[0].choice.numbers == first.state.works[0].choice.numbers


@pytest.mark.parametrize("context", ["", "there"])
def test_another_context_is_not_taken_over(tmp_path, context):
    first = Run(tmp_path, FakeRunner(), product(), trials=9)
    first.start()
    again = resumed(tmp_path, first, trials=9, context=context)
    again.start()
    assert len(again.runner.asked) == 10


def test_a_truncated_journal_costs_a_trial(tmp_path):
    first = Run(tmp_path, FakeRunner(), product(), trials=9)
    first.start()
    whole = first.journal.path.read_bytes()
    first.journal.path.write_bytes(whole[:-40])
    with pytest.warns(RecordWarning, match=r"trials\.journal:10: "):
        again = resumed(tmp_path, first, trials=9)
    again.start()
    assert len(again.runner.asked) == 1
    with pytest.warns(RecordWarning):
        assert len(again.journal.trials()) == 10


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
        """Proposes the rule's first candidate, and again."""

        def propose(self):
            _, twin, *_ = candidates(kernel_of(product()).function, target())
            return [twin] * 3

    monkeypatch.setattr(search, "Sketches", Twins)
    monkeypatch.setattr(search, "EVERY", 1)
    run = Run(tmp_path, FakeRunner(), product(), trials=6)
    assert run.start().trials == 6
    assert len(run.runner.asked) == 2


def test_who_wins_only_once_was_lucky(tmp_path):
    code = next(iter(others(softmax)))

    class Lucky(FakeRunner):
        """Side by side, the first time only."""

        def compare(self, kernels, rounds):
            super().compare(kernels, rounds)
            again = len(self.compared) % 2 == 0
            lucky = PRICE if again else 0.8 * PRICE
            return [[lucky if fingerprint(k) == code else PRICE] * rounds for k in kernels]

    runner = Lucky(dict.fromkeys(others(softmax), 2 * PRICE) | {code: 0.9 * PRICE}, batch=8)
    run = Run(tmp_path, runner, softmax())
    run.start()
    assert len(runner.compared) == 2
    assert run.state.works[0].choice is None
