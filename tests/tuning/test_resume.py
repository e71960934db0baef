"""A session may end at any moment, and another session continues it."""

import pytest

from quake_tvm import QuakeError
from quake_tvm.schedules.records.files import RecordWarning
from tests.tuning.fakes import PRICE, FakeRunner, both, product, softmax, tasks_of
from tests.tuning.runs import Run, others, own, trials

pytestmark = pytest.mark.usefixtures("all_of_the_rules_only")


class Ending(FakeRunner):
    """Raises at a kernel of a given number, in the middle of a batch."""

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
    """A second session in the same folder, which knows the trials of the first."""
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
