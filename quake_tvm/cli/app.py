"""The shell: ``quake-tvm compile | run | plan | tune | bench | accuracy | …``; see its ``--help``.

This module parses, prints and draws progress; the work is done elsewhere. Errors that the user can
correct end in one line on standard error and exit status 2. Ctrl-C ends likewise, with status 130.
"""

import io
import json
import logging
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.table import Table

from .. import __version__
from ..errors import QuakeError
from ..support.interrupts import leave
from ..support.which_tvm import has_relay
from ..support.whole_file import check_writable, whole_file
from .accuracy import accuracy
from .bench import bench
from .cache import cache
from .compare import compare
from .convert import convert
from .explain import explain
from .lut import lut
from .norms import norms
from .plan import plan as plan_command
from .quantize import quantize
from .run import run
from .shell import (
    AsJson,
    Cache,
    MaxError,
    Method,
    ModelPath,
    NamedShape,
    Only,
    PlanPath,
    Precision,
    Records,
    SizeRange,
    Skip,
    SpecialValues,
    Target,
    Winograd,
    busy,
    errors,
    log_to_console,
    output,
    parse_named_shapes,
    parse_ranges,
    parse_records,
    print_json,
    refuse,
)
from .targets import targets
from .tune import tune

if TYPE_CHECKING:
    from ..runtime.model import Model

# Click's class; newer Typers have their own copy of it.
_UsageError: Any = typer.BadParameter.__base__


class _Interrupted(Exception):
    """Ctrl-C, which Click would report in another way and with status 1."""


class _Commands(typer.core.TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _Interrupted from None


app = typer.Typer(
    cls=_Commands,
    help="Exponential nonlinearities as bit manipulation, with proven error bounds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"quake-tvm {__version__}")
        raise typer.Exit


@app.callback()
def _before(
    context: typer.Context,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Say what happens; -vv: all of it.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Leave out warnings.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if quiet and verbose:
        raise QuakeError("give either --quiet or --verbose, not both")
    log_to_console(logging.ERROR if quiet else logging.WARNING - 10 * min(verbose, 2))
    if quiet:
        warnings.simplefilter("ignore")
    command = context.invoked_subcommand
    if command == "doctor":  # doctor reports what is wrong itself
        return
    need_relax = ("compile", "convert", "norms", "plan", "quantize", "run", "runtime", "tune")
    if command in need_relax and has_relay():
        from .. import tvm_version

        raise QuakeError(
            f"{command} needs the TVM that has Relax: {tvm_version.RELAX_INSTALL}; "
            "with this one build in Python, with quake_tvm.PassContext around relay.build"
        )


@app.command()
def compile(
    model: ModelPath,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Library to write.")] = None,
    target: Target = "native",
    method: Method = None,
    max_error: MaxError = None,
    only: Only = None,
    skip: Skip = None,
    special_values: SpecialValues = "ieee",
    plan: PlanPath = None,
    shape: NamedShape = None,
    size_range: SizeRange = None,
    records: Records = None,
    precision: Precision = "float32",
    winograd: Winograd = True,
    keep: Cache = False,
    as_json: AsJson = False,
) -> None:
    """Compile an ONNX model and report how each nonlinearity was lowered."""
    from .. import compiler
    from ..boards import runner
    from ..machines.targets import target as resolve
    from ..support import toolchain

    on = resolve(target)
    if out is not None:
        check_writable(out, but=model)
        toolchain.linker(on)  # raises early if there is no linker, before minutes of compiling
    machine = toolchain.triple(on)
    cross = out if machine.system == "linux" and not machine.is_host else None
    commands = runner.commands(cross, on, target) if cross is not None else []
    with busy(f"compiling {model.name}"):
        compiled = compiler.compile(
            model,
            on,
            method,
            max_error=max_error,
            only=only,
            skip=skip,
            special_values=special_values,
            plan=plan,
            shapes=parse_named_shapes(shape),
            ranges=parse_ranges(size_range),
            records=parse_records(records),
            precision=precision,
            winograd=winograd,
            cache=keep,
        )
        if out is not None:
            compiled.export(out)
    program, written = _write_runner(cross, commands) if cross is not None else (None, False)
    if as_json:
        report = json.loads(compiled.report.to_json())
        made = {
            "output": out and str(out),
            "runner": program and str(program),
            "commands": commands,
        }
        print_json({"model": str(model), **made, **report})
        return
    compiled.report.write(output)
    output.print(_chosen(compiled), markup=False, soft_wrap=True)
    if out is not None:
        output.print(f"written: {out}", markup=False, soft_wrap=True)
    if program is not None:
        how = "written" if written else "changed by hand, so kept as it is"
        lines = "\n".join(f"  {line}" for line in commands)
        text = f"{how}: {program}, which runs it without Python:\n{lines}"
        output.print(text, markup=False, soft_wrap=True)


def _chosen(compiled: "Model") -> str:
    """What was chosen, in one line."""
    largest = compiled.report.largest
    if largest is None:
        return "no nonlinearity is approximated"
    rungs = ", ".join(sorted({site.method for site in compiled.report.sites}))
    return (
        f"{rungs}: no error above {largest.relative:.2g} ({largest.operator}); "
        "quake-tvm compare says which rung costs no time"
    )


def _write_runner(library: Path, commands: list[str]) -> tuple[Path, bool]:
    """Write the runner of a library for another machine: its path, and whether it was written.

    A runner that was changed by hand is kept.
    """
    from ..boards import runner

    path = runner.runner_path(library)
    if path.is_file() and not runner.is_runner(path.read_text(errors="replace")):
        return path, False
    with whole_file(path) as file:
        file.write_text(runner.runner(commands))
    return path, True


@app.command()
def runtime(target: Target = "native") -> None:
    """Print the folder with TVM's runtime libraries for a target; downloads them once."""
    from ..emulation.runtime import libraries
    from ..machines.targets import target as resolve

    on = resolve(target)
    with busy("fetching TVM's runtime"):
        folder = libraries(on)
    print(folder)


app.command()(run)
app.command(name="plan")(plan_command)
app.command()(convert)
app.command()(norms)
app.command()(quantize)
app.command()(lut)
app.command()(tune)
app.command()(explain)
app.command()(compare)
app.command()(bench)
app.command()(accuracy)
app.command()(cache)
app.command()(targets)


@app.command()
def doctor(
    model: Annotated[
        Path | None, typer.Argument(help="An ONNX file: say what of it can be compiled.")
    ] = None,
    shape: NamedShape = None,
    size_range: SizeRange = None,
    as_json: AsJson = False,
) -> None:
    """Check this installation, or without compiling it a model.

    Of the installation: versions, target, linker, one kernel against its bound. Of a model: which
    operators are taken, rewritten or refused, what is left exact, and what to change. Ends with
    status 1 if something is bad or refused.
    """
    if model is not None:
        _examine(model, shape, size_range, as_json)
        return
    if shape or size_range:
        raise QuakeError("--shape and --range are for a model: name its file")
    from .doctor import examine

    with busy("examining"):
        checks = examine()
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        marks = {True: "ok", False: "BAD", None: ""}
        table = Table("", "what", "finding")
        for check in checks:
            table.add_row(marks[check.ok], check.name, check.finding)
        output.print(table)
    if any(check.ok is False for check in checks):
        raise typer.Exit(1)


def _examine(
    model: Path, shape: list[str] | None, size_range: list[str] | None, as_json: bool
) -> None:
    """Handle ``doctor MODEL``."""
    from .. import tvm_version
    from . import doctor_model

    if tvm_version.RELAY:
        raise QuakeError(f"a model needs the TVM that has Relax: {tvm_version.RELAX_INSTALL}")
    with busy(f"examining {model.name}"):
        shapes, ranges = parse_named_shapes(shape), parse_ranges(size_range)
        found = doctor_model.examine(model, shapes, ranges)
    if as_json:
        print_json({"model": str(model), **doctor_model.to_dict(found)})
    else:
        doctor_model.show(model, found)
    if found.refused:
        raise typer.Exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning in one line, without its place in Python."""
    errors.print(f"warning: {message}", markup=False, soft_wrap=True)


def main() -> None:
    """Entry point of ``quake-tvm``."""
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal cannot show every character
    try:
        sys.exit(app(prog_name="quake-tvm", standalone_mode=False))
    except (_Interrupted, KeyboardInterrupt):
        leave()
    except _UsageError as error:
        _refuse_usage(error)
    except (QuakeError, ImportError) as error:
        refuse(str(error))
    except MemoryError as error:
        refuse(f"not enough memory: {error}" if str(error) else "not enough memory")
    except OSError as error:
        what = f": {error.filename}" if error.filename else ""
        refuse(f"{error.strerror or error}{what}")


def _refuse_usage(error: Any) -> NoReturn:
    message = error.format_message().strip().rstrip(".")
    if not message:  # there was no command, and the help has been printed
        sys.exit(error.exit_code)
    if getattr(error, "option_name", "") in ("-v", "--verbose", "-q", "--quiet"):
        refuse(f"{message}; it stands before the command: quake-tvm {error.option_name} ...")
    command = error.ctx.command_path if error.ctx is not None else "quake-tvm"
    refuse(f"{message}; see {command} --help")


if __name__ == "__main__":
    main()
