"""Emulated boards start, serve one client after another, and leave nothing behind."""

import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from tvm.rpc import base

from quake_tvm.emulation.board import Board
from quake_tvm.errors import QuakeError
from tests.processes import children, is_free, python, running, soon


@pytest.fixture
def own(pi):
    """A separate board that a test may stop or break."""
    with Board(pi) as board:
        yield board


def greet(board, key="client:", magic=base.RPC_MAGIC):
    """A connection to the board after the handshake was sent."""
    connection = socket.create_connection(("127.0.0.1", board.port), timeout=300)
    connection.sendall(struct.pack("<ii", magic, len(key)) + key.encode())
    return connection


def answer(connection):
    """The first word of the board's answer, None if there is none."""
    try:
        word = connection.recv(4, socket.MSG_WAITALL)
    except ConnectionResetError:
        return None
    return struct.unpack("<i", word)[0] if word else None


def gone(board, *others):
    pids = board.process.pid, *others
    return soon(lambda: is_free(board.port) and not any(map(running, pids)))


def test_two_boards_are_two(board, own):
    assert board.port != own.port
    with greet(board) as one, greet(own) as other:
        assert answer(one) == answer(other) == base.RPC_CODE_SUCCESS


def test_the_next_client_has_its_turn_when_one_is_gone(own):
    with greet(own) as first, greet(own) as second:
        assert answer(first) == base.RPC_CODE_SUCCESS
        (session,) = children(own.process.pid)
        first.close()
        assert answer(second) == base.RPC_CODE_SUCCESS
        assert children(own.process.pid) != [session]


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSEGV, signal.SIGILL])
def test_a_session_that_dies_is_the_end_of_that_session_only(own, fault):
    with greet(own) as client:
        assert answer(client) == base.RPC_CODE_SUCCESS
        (session,) = children(own.process.pid)
        os.kill(session, fault)
        assert soon(lambda: not running(session))
    with greet(own) as client:
        assert answer(client) == base.RPC_CODE_SUCCESS


def test_who_is_no_client_is_let_go(own):
    with greet(own, magic=7) as stranger:
        assert answer(stranger) is None
    with greet(own) as client:
        assert answer(client) == base.RPC_CODE_SUCCESS


def test_a_session_ends_with_its_time(own):
    with greet(own, "client: -timeout=1") as client:
        assert answer(client) == base.RPC_CODE_SUCCESS
        while client.recv(1 << 10):
            pass
    assert soon(lambda: not children(own.process.pid))


def test_files_of_a_session_go_with_it(own):
    folder = Path(own._folder.name)
    with greet(own) as client:
        assert answer(client) == base.RPC_CODE_SUCCESS
        assert len(list(folder.glob("session-*"))) == 1
    assert soon(lambda: not list(folder.glob("session-*")))


@pytest.mark.parametrize("stopped", ["none", "session", "board"])
def test_nothing_is_left_of_a_closed_board(pi, stopped):
    with Board(pi) as own, greet(own) as client:
        assert answer(client) == base.RPC_CODE_SUCCESS
        (session,) = children(own.process.pid)
        if stopped != "none":
            os.kill(session if stopped == "session" else own.process.pid, signal.SIGSTOP)
    assert gone(own, session)
    assert not Path(own._folder.name).exists()


def test_a_killed_board_takes_its_session_along(own):
    with greet(own) as client:
        assert answer(client) == base.RPC_CODE_SUCCESS
        (session,) = children(own.process.pid)
        own.process.kill()
        own.process.wait()
        assert gone(own, session)


STARTER = """
import sys, time
import quake_tvm
from quake_tvm.emulation.board import Board

board = Board(quake_tvm.target("raspberry-pi-4"))
print(board.process.pid, board.port, board._folder.name, flush=True)
time.sleep(600)
"""


def test_a_board_ends_with_who_has_started_it(pi):
    starter = subprocess.Popen(python(STARTER), stdout=subprocess.PIPE, text=True)
    with starter:
        process, port, folder = starter.stdout.readline().split()
        assert running(int(process))
        starter.kill()
    assert soon(lambda: is_free(int(port)) and not running(int(process)))
    assert not Path(folder).exists()


def test_without_its_tracker_a_board_does_not_start(pi):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        before = children(os.getpid())
        with pytest.raises(QuakeError, match=r"does not start: .*no such tracker"):
            Board(pi, tracker=nobody.getsockname(), key="pi")
        assert children(os.getpid()) == before
