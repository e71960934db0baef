"""A pool of workers: every item has a result, lost workers are replaced, never too many run."""

import os
import time

import pytest

from quake_tvm.support import worker
from quake_tvm.support.worker import Died, Failed, TimedOut
from quake_tvm.support.worker_pool import Pool
from tests.processes import children
from tests.support.test_worker import LONG, MODULE


@pytest.fixture
def pool():
    before = set(children(os.getpid()))
    pool = Pool(MODULE, 2)
    yield pool
    pool.close()
    pool.close()
    assert set(children(os.getpid())) == before


def results(pool, work, items):
    found = dict(pool.each(work, items))
    return [found[n] for n in range(len(items))]


def test_every_item_has_its_result(pool):
    def work(worker, item):
        assert len(children(os.getpid())) <= 2 + before
        return worker.ask(LONG, "double", item)

    before = len(children(os.getpid()))
    assert results(pool, work, range(20)) == list(range(0, 40, 2))
    assert results(pool, work, []) == []


def test_workers_that_are_lost_are_replaced(pool, monkeypatch):
    monkeypatch.setattr(worker, "PATIENCE", 1)

    asked = [("double", 1), ("end", 3), ("fail", "why"), ("sleep", 1000), ("double", 2)] * 2
    found = results(pool, lambda worker, item: worker.ask(2.0, *item), asked)
    for one, died, failed, late, two in (found[:5], found[5:]):
        assert (one, two) == (2, 4)
        assert isinstance(died, Died)
        assert isinstance(failed, Failed)
        assert isinstance(late, TimedOut)


def test_it_can_be_left_early(pool):
    each = pool.each(lambda worker, item: worker.ask(LONG, "double", item), range(1000))
    next(each)
    each.close()
    assert results(pool, lambda worker, item: worker.ask(LONG, "double", item), [3]) == [6]


def test_what_is_at_work_ends_when_it_is_left(pool):
    each = pool.each(lambda worker, seconds: worker.ask(LONG, "sleep", seconds), [0, 1000, 1000])
    next(each)
    start = time.monotonic()
    each.close()
    assert time.monotonic() - start < LONG / 2
    assert results(pool, lambda worker, item: worker.ask(LONG, "double", item), [3]) == [6]
