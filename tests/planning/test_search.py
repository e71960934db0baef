"""The knapsack search against all possible choices."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quake_tvm.planning.search import PARTS, RungCost, cheapest, without_small_gains

offers = st.builds(RungCost, st.floats(0, 1), st.floats(0, 10))
sites = st.lists(st.lists(offers, min_size=1, max_size=4), min_size=1, max_size=4)


def total(sites, picks):
    chosen = [site[n] for site, n in zip(sites, picks, strict=True)]
    return sum(o.error for o in chosen), sum(o.time for o in chosen)


@given(sites, st.floats(0.01, 4))
def test_nothing_within_is_faster(sites, allowance):
    every = [total(sites, p) for p in itertools.product(*(range(len(s)) for s in sites))]
    picks = cheapest(sites, allowance)
    # Errors are rounded up to parts of the allowance, by less than one part for each site.
    surely = [t for e, t in every if e <= allowance * (1 - len(sites) / PARTS)]
    if picks is None:
        assert not surely
        return
    error, time = total(sites, picks)
    assert error <= allowance * (1 + 1e-9)
    assert time <= min(surely, default=time) * (1 + 1e-9)


def test_of_equally_fast_ones_the_most_accurate():
    assert cheapest([[RungCost(0.5, 1.0), RungCost(0.1, 1.0), RungCost(0.0, 2.0)]] * 2, 1.0) == [
        1,
        1,
    ]


def test_without_an_allowance_only_what_is_free():
    assert cheapest([[RungCost(0.1, 1.0), RungCost(0.0, 2.0)]], 0.0) == [1]
    assert cheapest([[RungCost(0.1, 1.0)]], 0.0) is None
    assert cheapest([[RungCost(0.0, 1.0)]], -1.0) is None


def test_small_gains_are_none():
    found = without_small_gains(
        [RungCost(3, 0.9), RungCost(2, 1.0), RungCost(1, 0.995), RungCost(0, 1.0)], 0.02
    )
    assert [o.time for o in found] == [0.9, 1.0, 1.0, 1.0]
    assert [o.error for o in found] == [3, 2, 1, 0]


@pytest.mark.parametrize("worth", [0.0, 0.02])
def test_slower_and_less_accurate_is_never_chosen(worth):
    slower = [RungCost(1, 5.0), RungCost(0, 1.0)]
    assert cheapest([without_small_gains(slower, worth)], 2.0) == [1]
