"""What the tests of tuning share: small kernels, boards, whole tunes."""

import os
from contextlib import ExitStack

import onnx
import pytest

from quake_tvm.tuning import search, session
from tests import shell
from tests.processes import children, soon, tvm_service
from tests.test_compiler import mlp
from tests.tuning.fakes import NoSketches


@pytest.fixture(scope="module", autouse=True)
def small_kernels(threads_are_a_choice):
    """They have enough to choose from."""


@pytest.fixture(scope="session")
def tracker():
    """Host and port of TVM's tracker, the same for all tests: each has a key of its own."""
    pytest.importorskip("tornado", reason="TVM's tracker needs tornado: pip install tornado")
    pytest.importorskip("cloudpickle", reason="TVM's tracker needs it: pip install cloudpickle")
    with tvm_service("rpc_tracker") as port:
        yield "127.0.0.1", port


@pytest.fixture
def started():
    """What a test starts, ended in reverse; its last look is for processes that are left."""
    before = set(children(os.getpid()))
    with ExitStack() as stack:
        yield stack
    assert soon(lambda: set(children(os.getpid())) <= before | shell.servers())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model's file: a product of 8x8 and 8x16 with its GELU, and a softmax."""
    path = tmp_path_factory.mktemp("model") / "mlp.onnx"
    onnx.save(mlp(8), path)
    return path


@pytest.fixture
def few(monkeypatch):
    """Twelve candidates of a kernel at most, so that a tune comes to its end."""
    monkeypatch.setattr(session, "CANDIDATES", 12)
    monkeypatch.setattr(search, "Sketches", NoSketches)


@pytest.fixture
def all_of_the_rules_only(monkeypatch):
    """A session tries every candidate of the rules, and none of MetaSchedule's."""
    monkeypatch.setattr(search, "Sketches", NoSketches)
    monkeypatch.setattr(session, "PATIENCE", 1000)
