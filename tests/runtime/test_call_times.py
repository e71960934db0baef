"""Which calls are short enough to keep Python's lock."""

import math

import pytest

from quake_tvm.runtime.call_times import SHORT, TIMED, CallTimes


def noted(times, calls):
    for size, nanoseconds in calls:
        times.note(size, nanoseconds)
    return times.short_up_to


@pytest.mark.parametrize(("slow", "expected"), [(TIMED // 4, math.inf), (TIMED // 4 + 1, 0)])
def test_static_shapes_have_one_verdict(slow, expected):
    times = CallTimes(steady=True)
    calls = [(0, SHORT if k < slow else SHORT - 1) for k in range(TIMED)]
    assert noted(times, calls[:-1]) == 0
    assert not times.settled
    assert noted(times, calls[-1:]) == expected
    assert times.settled
    assert noted(times, [(0, 10 * SHORT)] * TIMED) == expected


def test_dynamic_shapes_have_one_for_each_size():
    times = CallTimes(steady=False)
    short, long = [(10, 100)] * (TIMED // 2), [(1000, 10 * SHORT)] * (TIMED // 2)
    assert noted(times, [*long, *short]) == 10
    assert noted(times, [(500, 100)] * TIMED) == 500
    assert noted(times, [(1000, 10 * SHORT)] * TIMED) == 500
    assert not times.settled


def test_a_size_with_long_calls_is_not_short():
    times = CallTimes(steady=False)
    assert noted(times, [(100, 100)] * (TIMED // 4) + [(100, 10 * SHORT)] * (TIMED * 3 // 4)) == 0


def test_where_data_decide_no_call_is_short():
    assert noted(CallTimes(steady=True, settled=True), [(0, 100)] * TIMED) == 0


def test_a_few_short_calls_say_nothing():
    times = CallTimes(steady=False)
    few = TIMED // 4 - 1
    assert noted(times, [(10, 100)] * few + [(1000, 10 * SHORT)] * (TIMED - few)) == 0
