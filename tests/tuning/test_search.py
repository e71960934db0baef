"""The order in which candidates are proposed: each once, as the cost model ranks them."""

import pytest

from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from quake_tvm.schedules.fence import fence_products
from quake_tvm.schedules.records.trace import fingerprint, replay
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning import search as module
from quake_tvm.tuning.search import DRAWN, EVERY, FAR, Search
from tests.tuning.fakes import FakeModel, NoSketches, kernel_of, product, softmax

BATCH = 4


@pytest.fixture(scope="module")
def kernel():
    return kernel_of(product())


@pytest.fixture(scope="module")
def own(kernel):
    return candidates(kernel.function, target())


def search_of(kernel, model=None, batch=BATCH, seed=0):
    return Search(kernel, target(), model or FakeModel(), batch, 256, seed)


@pytest.fixture
def without_sketches(monkeypatch):
    monkeypatch.setattr(module, "Sketches", NoSketches)


def codes(batch):
    return [fingerprint(candidate.function) for candidate in batch]


def proposed(search):
    """All batches until none is left. Each candidate has the same cost."""
    batches = []
    while batch := search.propose():
        search.learn(batch, [1.0] * len(batch))
        batches.append(batch)
    return batches


@pytest.mark.usefixtures("without_sketches")
def test_every_candidate_of_the_rules_comes_once(kernel, own):
    search = search_of(kernel)
    assert search.left == len(own) - 1
    batches = proposed(search)
    assert {len(batch) for batch in batches[:-1]} == {BATCH}
    found = [code for batch in batches for code in codes(batch)]
    assert len(found) == len(own) - 1
    assert sorted([fingerprint(search.own.function), *found]) == sorted(codes(own))
    assert search.left == 0


def test_the_rules_own_choice_is_known_beforehand(kernel):
    ruled = schedule(kernel.function, target())
    assert fingerprint(search_of(kernel).own.function) == fingerprint(ruled)


@pytest.mark.usefixtures("without_sketches")
def test_the_models_ranking_is_followed(kernel, own):
    scores = {code: n for n, code in enumerate(codes(own))}
    search = search_of(kernel, FakeModel(scores))
    drawn = round(BATCH * DRAWN)
    assert drawn == 1
    left = set(codes(own)[1:])
    for _ in range(3):
        batch = set(codes(search.propose()))
        best = sorted(left, key=scores.get)[-BATCH:]
        assert len(batch & set(best)) >= BATCH - drawn
        left -= batch


@pytest.mark.usefixtures("without_sketches")
def test_the_same_seed_draws_the_same(kernel):
    same = [codes(search_of(kernel, seed=n).propose()) for n in (1, 1, 2)]
    assert same[0] == same[1]
    assert same[2] != same[0]


def test_the_model_learns_what_was_measured(kernel):
    model = FakeModel()
    search = search_of(kernel, model)
    batch = search.propose()
    search.learn(batch[:2], [1.0, None])
    assert model.learnt == list(zip(codes(batch[:2]), [1.0, None], strict=True))


def test_what_an_earlier_session_knows_is_recalled(kernel, own):
    search, known = search_of(kernel), set(codes(own)[3:7])
    assert set(codes(search.recall(lambda c: fingerprint(c.function) in known))) == known
    assert search.left == len(own) - 1 - len(known)
    assert not search.recall(lambda c: fingerprint(c.function) in known)


def turns(search, cost, count):
    """For each of the next batches: is it MetaSchedule's? Its candidates have this cost."""
    found = []
    for _ in range(count):
        batch = search.propose()
        theirs = {candidate.trace is not None for candidate in batch}
        assert len(theirs) == 1
        found += theirs
        search.learn(batch, [cost if found[-1] else 1.0] * len(batch))
    return found


def test_metaschedules_own_have_their_turn(kernel):
    assert EVERY == 3
    assert turns(search_of(kernel), 0.99 * FAR, 6) == [False, False, True] * 2


def test_metaschedules_own_go_when_they_are_far_behind(kernel):
    assert turns(search_of(kernel), 1.01 * FAR, 6) == [False, False, True, False, False, False]


def test_metaschedules_own_come_with_a_trace_for_the_kernel(kernel):
    search = search_of(kernel)
    search._left = []
    batch = search.propose()
    assert 0 < len(batch) <= BATCH
    for candidate in batch:
        assert candidate.key == search.own.key
        assert candidate.layout == search.own.layout
        assert not candidate.numbers
        assert replay(fence_products(kernel.function), candidate.trace) is not None


def test_kernels_written_out_have_no_other_candidates_than_the_rules():
    kernel = kernel_of(softmax())
    batches = proposed(search_of(kernel, batch=1))
    assert len(batches) == len(candidates(kernel.function, target())) - 1
    assert all(candidate.trace is None for batch in batches for candidate in batch)


def test_where_threads_are_not_seen_they_are_the_rules():
    kernel = kernel_of(product(columns=64))
    search = Search(kernel, target(), FakeModel(), BATCH, 256, 0, sees_threads=False)
    found = [candidate for batch in proposed(search) for candidate in batch]
    own, *others = candidates(kernel.function, target())
    alike = [c for c in others if c.numbers["parallel"] == own.numbers["parallel"]]
    assert 0 < len(alike) < len(others)
    assert sorted(codes(found)) == sorted(codes(alike))
    assert not any(c.trace for c in found)
