"""A kernel computes the same bits for all values of its tunable parameters."""

import numpy as np
import pytest
import tvm
from tvm import te, topi
from tvm_ffi import structural_equal, structural_hash

from quake_tvm.machines.targets import target
from quake_tvm.passes.relax import lower_kernels
from quake_tvm.schedules import RECORD, RULE, schedule
from quake_tvm.schedules.choice import PARAMETERS, Choice
from quake_tvm.schedules.space import Candidate, candidates, key_of
from tests.schedules.kernels import placeholder, random_inputs
from tests.schedules.tunable import (
    KERNELS,
    WRITTEN_OUT,
    repacked_gates,
    repacked_weights,
    unscheduled,
)

pytestmark = pytest.mark.usefixtures("threads_are_a_choice")
ALL = [*KERNELS, *WRITTEN_OUT]
# The number of random candidates, in addition to those that differ in one number.
SOME = 8


class Spy(Choice):
    """Given numbers. It records which other numbers could be picked."""

    def __init__(self, numbers):
        super().__init__(numbers)
        self.offered = []

    def pick(self, name, options, own):
        self.offered += [(name, n) for n in options]
        return super().pick(name, options, own)


def neighbours(function, kind, own):
    """Candidates in which one of the rule's default numbers is changed, for each option."""
    spy = Spy(own.numbers)
    schedule(function, target(kind), lambda _: spy)
    for name, n in spy.offered:
        choice = Choice({**own.numbers, name: n})
        scheduled = schedule(function, target(kind), lambda _, choice=choice: choice)
        yield Candidate(own.key, choice.numbers, scheduled, own.layout)


def distinct(found):
    """The candidates whose code differs."""
    return list({structural_hash(c.function): c for c in found}.values())


def laid_out(candidate, arrays, inputs, given):
    """The arrays, with packed weights in the candidate's layout."""
    if not candidate.layout:
        return arrays
    if candidate.key.operator == "recurrent":
        units = candidate.key["columns"]
        return [
            repacked_gates(a, units, candidate.layout) if t.op.name in given else a
            for t, a in zip(inputs, arrays, strict=True)
        ]
    axis = 1 if candidate.key.operator == "grouped_convolution" else 0
    *_, columns, _ = candidate.key.shape
    return [
        repacked_weights(array, columns, candidate.layout, axis) if t.op.name in given else array
        for t, array in zip(inputs, arrays, strict=True)
    ]


@pytest.mark.parametrize("kind", ["x86-64-v3", "native"])
@pytest.mark.parametrize("name", ALL)
def test_every_choice_gives_the_same_bits(name, kind):
    rule, function, inputs, outputs, given = unscheduled(name, kind)
    arrays = random_inputs(inputs, given)

    def run(function, arrays):
        """All results, one behind the other."""
        empty = [tvm.runtime.empty([int(n) for n in o.shape], str(o.dtype)) for o in outputs]
        built = tvm.compile(function, target=target(kind), tir_pipeline=lower_kernels.NAME)["main"]
        built(*map(tvm.runtime.tensor, arrays), *empty)
        return np.concatenate([each.numpy().ravel() for each in empty])

    own, *some = candidates(function, target(kind), SOME)
    others = distinct([*neighbours(function, kind, own), *some])
    assert len(others) > 1
    expected = run(own.function, arrays)
    np.testing.assert_array_equal(expected, run(function, arrays))
    for candidate in others:
        assert candidate.function.attrs[RULE] == rule
        found = run(candidate.function, laid_out(candidate, arrays, inputs, given))
        np.testing.assert_array_equal(found, expected, err_msg=str(candidate.numbers))


@pytest.mark.parametrize("name", ALL)
def test_own_choice_is_the_untuned_code(name):
    _, function, *_ = unscheduled(name, "native")
    own, *_ = candidates(function, target(), 1)
    assert structural_equal(own.function, schedule(function, target()))


@pytest.mark.parametrize("name", ALL)
def test_numbers_bring_the_candidate_back(name):
    _, function, *_ = unscheduled(name, "native")
    own, *others = candidates(function, target(), 12)
    for candidate in [own, *(c for c in others if c.layout == own.layout)]:
        choice = Choice(candidate.numbers, "here")
        again = schedule(function, target(), lambda key, choice=choice: choice)
        assert again.attrs[RECORD] == "here"
        assert structural_equal(again.without_attr(RECORD), candidate.function)


@pytest.mark.parametrize("name", ALL)
def test_what_is_no_option_is_left_out(name):
    _, function, *_ = unscheduled(name, "native")
    own, *_ = candidates(function, target(), 1)
    choice = Choice(dict.fromkeys([*own.numbers, "new"], 99), "nowhere")
    found = schedule(function, target(), lambda _: choice)
    assert structural_equal(found, schedule(function, target()))


def test_a_height_without_its_width_is_left_out():
    _, function, *_ = unscheduled("matmul_packed", "native")
    own, *_ = candidates(function, target(), 1)
    for other in ({"rows": 1}, {"rows": 1, "vectors": own.numbers["vectors"] + 1}):
        found = schedule(function, target(), lambda _, other=other: Choice(other, "elsewhere"))
        assert structural_equal(found, schedule(function, target()))


@pytest.mark.parametrize(
    "make",
    [topi.nn.softmax, lambda x: topi.sum(x, 1)],
    ids=["exact_softmax", "fallback"],
)
def test_rules_without_choices(make):
    x = placeholder(3, 40)
    function = te.create_prim_func([x, make(x)])
    assert key_of(function, target()) is None
    assert not candidates(function, target())


def test_rules_ask_for_the_parameters_that_records_may_have():
    asked = set()
    for name in ALL:
        function = unscheduled(name, "x86-64-v4")[1]
        asked |= candidates(function, target("x86-64-v4"), 1)[0].numbers.keys()
    assert asked == {*PARAMETERS}
