"""Shared by the commands: common options, consoles, progress, JSON.

Knows no command, and does not load TVM.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..errors import QuakeError
from ..support import given

if TYPE_CHECKING:
    from ..boards.client import Remote

errors = Console(stderr=True, highlight=False)
output = Console(highlight=False)

ModelPath = Annotated[Path, typer.Argument(help="An ONNX file.")]
Target = Annotated[str, typer.Option("--target", "-t", help="See `quake-tvm targets`.")]
Method = Annotated[
    str | None,
    typer.Option("--method", "-m", help="quake1 ... quake5, lut8, lut16, or exact [quake4]."),
]
MaxError = Annotated[
    float | None, typer.Option(help="Instead of a method: the largest error to allow.")
]
Only = Annotated[list[str] | None, typer.Option(help="Lower this operator only; repeatable.")]
Skip = Annotated[list[str] | None, typer.Option(help="Leave this operator exact; repeatable.")]
SpecialValues = Annotated[str, typer.Option(help="ieee, or finite to promise finite inputs.")]
Precision = Annotated[
    str,
    typer.Option(help="float32, float16 (weights only), bfloat16 or int8 (operands of products)."),
]
Winograd = Annotated[bool, typer.Option(help="Let Winograd's algorithm compute 3x3 convolutions.")]
Shape = Annotated[
    list[str] | None, typer.Option(help="Static shape of an input: NAME=1,128; repeatable.")
]
NamedShape = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        help="Sizes, or names of dynamic dimensions, of an input: NAME=1,length; repeatable.",
    ),
]
SizeRange = Annotated[
    list[str] | None,
    typer.Option(
        "--range",
        help="The sizes that a dynamic dimension takes, by its name: length=1:512; repeatable.",
    ),
]
Records = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FOLDER",
        help="Tuned choices that come before the library's own; repeatable. none: rules only.",
    ),
]
PlanPath = Annotated[
    Path | None, typer.Option("--plan", help="Rungs site by site, as `quake-tvm plan` wrote them.")
]
Cache = Annotated[
    bool, typer.Option("--cache", help="Keep the build on disk, and load it the next time.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Rpc = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Use the board whose TVM RPC server listens there."),
]
Tracker = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Use a board that this TVM RPC tracker lists."),
]
Key = Annotated[str | None, typer.Option(help="The key under which the tracker lists the board.")]
Timeout = Annotated[
    float, typer.Option(help="Seconds that the board has for each step: load, run, time.")
]
TIMEOUT = 60.0


def refuse(message: str) -> NoReturn:
    """End the process with an error that the user can correct: one line, and status 2."""
    errors.print(f"error: {' '.join(message.splitlines())}", markup=False, soft_wrap=True)
    sys.exit(2)


class _ConsoleHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        errors.print(text, markup=False, soft_wrap=True)


def log_to_console(level: int) -> None:
    """Print the library's log messages from this level on to standard error, one line each."""
    logger = logging.getLogger("quake_tvm")
    logger.handlers, logger.propagate = [_ConsoleHandler()], False
    logger.setLevel(level)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show a spinner with the elapsed time, on a terminal."""
    with progress(SpinnerColumn(), TextColumn(what, markup=False), TimeElapsedColumn()) as task:
        task.add_task(what, total=None)
        yield


def progress(*columns: ProgressColumn) -> Progress:
    """A progress display on standard error; disabled if standard error is no terminal."""
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


@contextmanager
def board(
    rpc: str | None, tracker: str | None, key: str | None, timeout: float
) -> "Iterator[Remote | None]":
    """A connection to the board that the options name, or None if they name none.

    Parameters
    ----------
    rpc : str or None
        ``"host:port"`` of the board.
    tracker, key : str or None
        ``"host:port"`` of a tracker, and the key of its boards.
    timeout : float
        Seconds for each step.
    """
    if rpc is tracker is key is None:
        yield None
        return
    from .. import connect

    with connect(rpc, tracker=tracker, key=key, timeout=timeout) as remote:
        yield remote


def parse_shapes(items: list[str] | None, instead: str = "") -> dict[str, list[int]]:
    """The values of ``--shape`` of a command that needs sizes: input name to shape.

    ``instead`` is what the error for a name recommends besides sizes.
    """
    shapes = {}
    for name, dims in parse_named_shapes(items).items():
        sizes = [n for n in dims if isinstance(n, int)]
        if len(sizes) < len(dims):
            named = ", ".join(n for n in dims if isinstance(n, str))
            example = ",".join(str(n) if isinstance(n, int) else "8" for n in dims)
            raise QuakeError(
                f"--shape of {name!r} has the name {named}, and this command needs sizes to "
                f"measure at: give numbers, as {name}={example}{instead}"
            )
        shapes[name] = sizes
    return shapes


def parse_named_shapes(items: list[str] | None) -> dict[str, list[int | str]]:
    """The values of ``--shape`` of a command that takes names: input name to sizes and names."""
    shapes: dict[str, list[int | str]] = {}
    for item in items or []:
        name, separator, text = item.rpartition("=")
        if name in shapes:
            raise QuakeError(f"--shape {name}=... is given twice: once an input")
        words = [word.strip() for word in text.split(",")] if text else []
        if not separator or not all(words):
            raise QuakeError(f"--shape takes NAME=1,128 or NAME=batch,length, not {item!r:.60}")
        sizes = [_whole(word) for word in words]
        shapes[name] = given.dimensions(sizes, repr(name))
    return shapes


def parse_ranges(items: list[str] | None) -> dict[str, tuple[int, int]]:
    """The values of ``--range``: dimension name to its least and its largest size."""
    ranges: dict[str, tuple[int, int]] = {}
    for item in items or []:
        name, _, text = item.rpartition("=")
        if name in ranges:
            raise QuakeError(f"--range {name}=... is given twice: once a dimension")
        ends = [_whole(word) for word in text.split(":")]
        if not name or len(ends) != 2 or not all(isinstance(n, int) for n in ends):
            raise QuakeError(f"--range takes NAME=1:512, not {item!r:.60}")
        ranges[name] = given.size_range(ends, repr(name))
    return ranges


def _whole(word: str) -> int | str:
    """A whole number if the word is one, else the word."""
    try:
        return int(word)
    except ValueError:
        return word


def parse_records(items: list[str] | None) -> list[str] | Literal[False] | None:
    """The values of ``--records``, in the form that ``compile`` takes."""
    if items and "none" in items:
        if len(items) > 1:
            raise QuakeError("--records none goes with no folder")
        return False
    return items


def print_json(value: Any) -> None:
    """Print one JSON value on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
