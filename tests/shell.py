"""The shell's commands, each in a process that is forked from one that has loaded them.

Loading takes seconds, and most commands of the tests take less. Tests of the start or the
interruption of a command start it as users do.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

LOADED = [
    "quake_tvm.cli.bench",
    "quake_tvm.build",
    "quake_tvm.compiler",
    "quake_tvm.cli.doctor",
    "quake_tvm.importers.onnx.importer",
    "quake_tvm.cli.plan",
    "quake_tvm.norms.scales",
    "quake_tvm.planning.planner",
    "quake_tvm.boards.client",
    "quake_tvm.cli.run",
    "quake_tvm.cli.tune",
]


def quake(*arguments: object, cwd: Path | None = None, **environment: str) -> Any:
    """``quake-tvm`` with these arguments: its status and output.

    Parameters
    ----------
    environment : str
        Added to this process's environment. Variables that Python reads at its start need a new
        process.
    """
    command = [str(argument) for argument in arguments]
    every = {**os.environ, **environment}
    if any(name.startswith("PYTHON") for name in environment):
        fresh = [sys.executable, "-m", "quake_tvm.cli", *command]
        return subprocess.run(fresh, capture_output=True, text=True, cwd=cwd, env=every)
    with tempfile.TemporaryDirectory() as folder:
        printed = [Path(folder, name) for name in ("output", "errors")]
        asked = [command, str(cwd or Path.cwd()), every, [str(path) for path in printed]]
        server = _server()
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        texts = [path.read_text() for path in printed]
    return subprocess.CompletedProcess(command, status, *texts)


@cache
def _server() -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.shell"]
    root = Path(__file__).parents[1]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root)


def servers() -> set[int]:
    """The server process that has loaded the commands. Empty before the first command."""
    return {_server().pid} if _server.cache_info().currsize else set()


def _serve() -> None:
    for name in LOADED:
        importlib.import_module(name)
    from quake_tvm.cli import app as cli

    while asked := sys.stdin.readline():
        child = os.fork()
        if not child:
            _become(*json.loads(asked))
            cli.main()
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(command: list[str], cwd: str, environment: dict[str, str], printed: list[str]) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["quake-tvm", *command]
    flags = os.O_WRONLY | os.O_CREAT
    for number, path in zip((0, 1, 2), ("/dev/null", *printed), strict=True):
        file = os.open(path, os.O_RDONLY if number == 0 else flags, 0o600)
        os.dup2(file, number)
        os.close(file)


if __name__ == "__main__":
    _serve()
