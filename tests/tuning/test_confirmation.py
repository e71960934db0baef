"""An improvement must win two comparisons with the rule. A counted kernel needs only one."""

import pytest

from quake_tvm.schedules.records.trace import fingerprint
from tests.tuning.fakes import PRICE, FakeRunner, kernel_of, softmax
from tests.tuning.runs import Run, others, own

pytestmark = pytest.mark.usefixtures("all_of_the_rules_only")


def test_an_improvement_must_be_confirmed(tmp_path):
    class Lucky(FakeRunner):
        """A candidate that is fast in its single timing, but not when compared with the rule."""

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
    """Single timings are slightly off: the two fastest are compared, a far slower one is not."""
    codes = list(others(softmax))[:3]

    class Close(FakeRunner):
        """The second fastest in single timings is the fastest in the comparison."""

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
    """This holds even if the rule itself was faster in the later rounds."""

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


def test_who_wins_only_once_was_lucky(tmp_path):
    code = next(iter(others(softmax)))

    class Lucky(FakeRunner):
        """The candidate is faster only in the first comparison."""

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


def test_what_is_counted_is_compared_once(tmp_path):
    code = next(iter(others(softmax)))

    class Counting(FakeRunner):
        """One figure for each kernel, as a static runner gives."""

        def compare(self, kernels, rounds):
            return super().compare(kernels, 1)

    runner = Counting(dict.fromkeys(others(softmax), 2 * PRICE) | {code: 0.5 * PRICE}, batch=8)
    state = Run(tmp_path, runner, softmax()).start()
    assert len(runner.compared) == 1
    assert state.works[0].choice.numbers == others(softmax)[code]
