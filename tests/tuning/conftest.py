"""Fixtures for the tests of tuning: small kernels, boards, whole tunes."""

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
    """Small kernels have a choice of threads, too."""


@pytest.fixture(scope="session")
def tracker():
    """Host and port of TVM's tracker, shared by all tests. Each test uses its own key."""
    pytest.importorskip("tornado", reason="TVM's tracker needs tornado: pip install tornado")
    pytest.importorskip("cloudpickle", reason="TVM's tracker needs it: pip install cloudpickle")
    with tvm_service("rpc_tracker") as port:
        yield "127.0.0.1", port


@pytest.fixture
def started():
    """A stack that ends what a test starts, and then checks that no process is left."""
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
    """At most twelve candidates for a kernel, so that a tune ends soon."""
    monkeypatch.setattr(session, "CANDIDATES", 12)
    monkeypatch.setattr(search, "Sketches", NoSketches)


@pytest.fixture
def all_of_the_rules_only(monkeypatch):
    """A session tries every candidate of the rules, and none of MetaSchedule's."""
    monkeypatch.setattr(search, "Sketches", NoSketches)
    monkeypatch.setattr(session, "PATIENCE", 1000)
