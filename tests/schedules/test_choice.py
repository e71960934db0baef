"""The value that is picked from a choice, and whether the choice was used."""

import pytest

from quake_tvm.schedules import analysis
from quake_tvm.schedules.choice import RULE_DEFAULT, Choice, Key, TrackedKnobs


def test_a_number_is_taken_only_if_it_is_among_the_options():
    choice = Choice({"rows": 4, "vectors": 9})
    assert choice.pick("rows", (2, 4), 8) == 4
    assert choice.pick("vectors", (1, 2), 1) == 1
    assert choice.pick("unroll", (1, 2), 2) == 2
    assert RULE_DEFAULT.pick("rows", (2, 4), 8) == 8


def test_a_choice_serves_once_a_number_of_it_is_taken():
    watched = TrackedKnobs(Choice({"rows": 4, "vectors": 9}))
    watched.pick("vectors", (1, 2), 1)
    watched.pick("unroll", (1, 2), 1)
    assert not watched.served
    assert watched.pick("rows", (2, 4), 8) == 4
    assert watched.served


def test_to_leave_all_to_the_rule_serves():
    assert TrackedKnobs(Choice(source="record")).served


@pytest.mark.parametrize(("shape", "known"), [((2, 3), True), ((None, 3), False), ((0, 3), False)])
def test_known(shape, known):
    assert Key("matmul", shape).known is known


@pytest.mark.parametrize(
    ("elements", "offered"),
    [(100, (0,)), (10_000, (0, 1)), (50_000, (0, 1)), (10**7, (1,))],
)
def test_threads_are_a_choice_only_where_it_is_close(elements, offered):
    seen = []

    class Seeing(Choice):
        def pick(self, name, options, own):
            seen.append(options)
            return own

    analysis.in_parallel(Seeing(), elements)
    assert seen == [offered]
