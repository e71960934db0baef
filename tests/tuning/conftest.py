"""What the tests of tuning share: small kernels, and boards."""

import os
from contextlib import ExitStack

import pytest

from tests.processes import children, soon, tvm_service


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
    assert soon(lambda: set(children(os.getpid())) <= before)
