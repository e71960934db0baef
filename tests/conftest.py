"""Options of the tests."""

import functools
import gc
import logging
import math
import os
from collections import Counter

import pytest

# Without this, every build would depend on downloading Relay's schedules.
os.environ["TOPHUB_LOCATION"] = "NONE"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the tests find now to the golden files",
    )
    parser.addoption(
        "--first-case",
        action="store_true",
        help="of tests with several cases run the first, and run no slow test",
    )
    parser.addoption(
        "--unknown-cpu",
        action="store_true",
        help="run the tests as if TVM's LLVM were older than this machine's CPU",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A pass over a kernel makes so many objects of Python that a tenth of a test went into looking
    # for garbage among them and among all modules.
    gc.set_threshold(10_000, 20, 20)
    if config.getoption("--unknown-cpu"):
        from dataclasses import replace

        from quake_tvm.machines import native

        machine = replace(native.examine(), cpu="generic", vendor="")
        native.examine = lambda: machine


@pytest.fixture(scope="session", autouse=True)
def nothing_shipped(tmp_path_factory):
    """The tests run without the records that ship with the library."""
    from quake_tvm.tvm_version import RELAY

    if RELAY:
        yield
        return
    from quake_tvm.schedules.records import book as record_book

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_book, "SHIPPED", tmp_path_factory.mktemp("shipped"))
        yield


@pytest.fixture(scope="session", autouse=True)
def tvms_flags_are_read_once():
    """Relay's compiler reads how TVM was built for every shape, which takes milliseconds."""
    from quake_tvm.tvm_version import RELAY

    if not RELAY:
        yield
        return
    from tvm.relay.backend import te_compiler

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(te_compiler, "libinfo", functools.cache(te_compiler.libinfo))
        yield


def pytest_collection_finish() -> None:
    gc.freeze()  # what the tests' modules hold is no garbage


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    cases: Counter[str] = Counter()
    for item in items:
        if sampled := item.get_closest_marker("sampled"):
            test = item.nodeid.partition("[")[0]
            if cases[test] % sampled.args[0]:
                item.add_marker(pytest.mark.sweep)
            cases[test] += 1
    if not config.getoption("--first-case"):
        return
    seen: set[str] = set()
    first, rest = [], []
    for item in items:
        test = item.nodeid.partition("[")[0]
        left_out = test in seen or item.get_closest_marker("slow")
        (rest if left_out else first).append(item)
        seen.add(test)
    config.hook.pytest_deselected(items=rest)
    items[:] = first


class _Refusal(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


@pytest.fixture(autouse=True)
def every_rule_can_do_what_it_takes():
    """A rule that fails is an error in tests. For users it is logged and the next rule is tried."""
    log, handler = logging.getLogger("quake_tvm.schedules"), _Refusal(logging.WARNING)
    log.addHandler(handler)
    yield
    log.removeHandler(handler)


@pytest.fixture(scope="session")
def pi():
    """The target of an emulated board. Skips if a tool or a wheel for it is missing."""
    from quake_tvm.emulation import runtime
    from quake_tvm.errors import QuakeError
    from tests.emulation.machines import emulated

    target = emulated("raspberry-pi-4")
    try:
        runtime.libraries(target)
    except QuakeError as error:
        pytest.skip(str(error))
    return target


@pytest.fixture(scope="session")
def board(pi):
    """An emulated board, shared by all tests that do not stop it."""
    from quake_tvm.emulation.board import Board

    with Board(pi) as board:
        yield board


@pytest.fixture(scope="module")
def threads_are_a_choice():
    """Threads are a choice for every kernel, however small it is."""
    from quake_tvm.schedules import analysis

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "NEAR", math.inf)
        yield
