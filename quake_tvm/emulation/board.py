"""An emulated board: TVM's RPC server as a program for the target, on this machine's loopback.

To a client it behaves like a real board, except for its speed. Knows no model.
"""

import hashlib
import select
import socket
import subprocess
import tempfile
from pathlib import Path

import tvm
import tvm_ffi

from ..errors import QuakeError
from ..support import cache
from ..support.toolchain import compiler
from . import machine, runtime

SOURCE = Path(__file__).with_name("board.cc")
# Seconds that a board has to start, and to end by itself.
START, STOP = 120.0, 2.0


class Board:
    """An emulated board. It runs until it is closed, this process ends, or its ``with`` block ends.

    It serves one client at a time, while others wait. A session that fails does not end it.

    Parameters
    ----------
    target : tvm.target.Target
        Its CPU is emulated.
    tracker : (str, int), optional
        Host and port of a tracker that the board registers with.
    key : str
        The key under which it registers.

    Attributes
    ----------
    port : int
        On 127.0.0.1.
    process : subprocess.Popen

    Raises
    ------
    QuakeError
        If there is no emulator, cross-compiler or TVM runtime for the target, or no such tracker.
    """

    def __init__(
        self,
        target: tvm.target.Target,
        tracker: tuple[str, int] | None = None,
        key: str = "",
    ) -> None:
        command = [*machine.command(target), str(_program(target))]
        if tracker is not None:
            host, port = tracker
            command += [socket.gethostbyname(host), str(port), key]
        # The board removes the folder too: it may outlive this process by a moment.
        self._folder = tempfile.TemporaryDirectory(prefix="board-")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, closed with the rest
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closes when this process ends, which ends the board
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=self._folder.name,
        )
        answers = self.process.stdout
        assert answers is not None  # it is a pipe
        ready, _, _ = select.select([answers], [], [], START)
        line = answers.readline() if ready else b""
        if not line:
            self._log.seek(0)
            reason = (self._log.read().decode().strip().splitlines() or ["no answer"])[-1]
            self.close()
            raise QuakeError(f"the emulated board does not start: {reason}")
        self.port = int(line)

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the board and its session, whatever state they are in."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        self._folder.cleanup()


def _program(target: tvm.target.Target) -> Path:
    """The server's program, compiled once for each version of the compiler, the runtime and TVM."""
    libraries = runtime.libraries(target)
    command = [*compiler(target), "-std=c++17", "-O1", str(SOURCE)]
    command += [f"-I{path}" for path in tvm_ffi.libinfo.include_paths()]
    # no-as-needed keeps the extra library, which is linked for the functions that it registers.
    command += [f"-L{libraries}", f"-Wl,-rpath,{libraries},--no-as-needed"]
    command += ["-ltvm_runtime_extra", "-ltvm_runtime", "-ltvm_ffi"]

    def make(path: Path) -> None:
        done = subprocess.run([*command, "-o", str(path)], capture_output=True, text=True)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line]
            reason = (errors or done.stderr.splitlines() or ["no reason given"])[0]
            raise QuakeError(f"cannot compile the emulated board: {reason}")

    content = "\0".join(command).encode() + SOURCE.read_bytes()
    return cache.keep(f"board-{hashlib.sha256(content).hexdigest()[:16]}", make)
