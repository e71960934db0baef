"""A worker process does not load torch."""

from pathlib import Path

from quake_tvm.support.worker import Worker

MODULE = "tests.support.worker_session"
ROOT = str(Path(__file__).parents[2])


def test_torch_is_hidden_from_a_worker():
    worker = Worker(MODULE, PYTHONPATH=ROOT)
    try:
        assert worker.ask(60.0, "can_import", "colorsys")
        assert not worker.ask(60.0, "can_import", "torch")
    finally:
        worker.close()
