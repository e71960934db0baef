"""The pages of docs/reference/ as text, from docstrings, the shell's help and the registries."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

import quake_tvm
from quake_tvm.cli.app import app
from quake_tvm.machines import targets
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound
from quake_tvm.schedules import RULES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
_NOTE = "This page is written by `python -m tests.reference`.\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in lines)


def _code(text: str) -> str:
    return f"```text\n{text.strip()}\n```\n"


def _first(docstring: str | None) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((docstring or "").split("\n\n")[0].split()).replace("``", "`")


def _members(cls: type) -> list[tuple[str, str]]:
    own = [(n, m) for n, m in inspect.getmembers(cls) if not n.startswith("_")]
    described = [(n, m) for n, m in own if inspect.isfunction(m) or isinstance(m, property)]
    return [(f"`{n}`", _first(m.__doc__)) for n, m in described if m.__doc__]


def api() -> str:
    """Every public name with its docstring."""
    parts = ["# Python", _NOTE]
    for name in quake_tvm.__all__:
        value = getattr(quake_tvm, name)
        parts.append(f"## {name}\n")
        if name == "PassContext":  # needs the other TVM
            parts.append("Only with Relay: [its page](../relay.md).\n")
            continue
        parts.append(_code(inspect.getdoc(value) or ""))
        if inspect.isclass(value) and (rows := _members(value)):
            parts.append(_table(["", ""], rows) + "\n")
    return "\n".join(parts)


def shell() -> str:
    """Every command with its options."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts = ["# Shell", _NOTE]
    for name, command in commands.items():
        parts += [f"## quake-tvm {name}\n", _code(command.help)]
        rows = []
        for parameter in command.params:
            names = ", ".join([*parameter.opts, *parameter.secondary_opts])
            given = parameter.default
            default = "" if given in (None, False) or callable(given) else f"`{given}`"
            rows.append((f"`{names}`", getattr(parameter, "help", "") or "", default))
        parts.append(_table(["option", "what it does", "default"], rows) + "\n")
    return "\n".join(parts)


def operators() -> str:
    """Every operator with its bound on each rung."""
    rows = []
    for name, row in OPERATORS.items():
        kind = "element-wise" if row.elementwise else "over rows"
        rows.append((f"`{name}`", kind, *(f"{bound(name, m).relative:.3g}" for m in METHODS)))
    text = (
        "The largest relative error on each rung, by "
        "[the contract](../concepts.md#the-error-contract). `quake_tvm.bound` "
        "also gives the absolute part and the witness.\n"
    )
    return "\n".join(["# Operators", _NOTE, text, _table(["operator", "", *METHODS], rows), ""])


def machines() -> str:
    """Every named target."""
    rows = []
    for name in targets.targets():
        if name == "native":  # differs from machine to machine
            continue
        target, config = targets.target(name), targets.config(name)
        cpu = " ".join([config.get("mcpu", "generic"), *config.get("mattr", ())])
        vectors = targets.vectors(target)
        unit = "none" if vectors == "none" else f"{targets.lanes(target)} {vectors}"
        cores = str(target.attrs["num-cores"])
        rows.append((f"`{name}`", targets.describe(name), cores, unit, cpu))
    head = ["name", "what it is", "cores", "float32 vectors", "cpu"]
    text = "`native` is this machine. [Boards](../boards.md) says how to use the others.\n"
    return "\n".join(["# Targets", _NOTE, text, _table(head, rows), ""])


def passes() -> str:
    """The phases of the pipeline, and every pass."""
    parts = ["# Passes", _NOTE, "## The pipeline\n"]
    parts.append(_code(_docstring(ROOT / "passes" / "relax" / "pipeline.py")))
    for title, folder in (("Both dialects", "."), ("Relax", "relax"), ("Relay", "relay")):
        files = sorted((ROOT / "passes" / folder).glob("[!_]*.py"))
        rows = [(f"`{p.relative_to(ROOT)}`", _first(_docstring(p))) for p in files]
        parts += [f"## {title}\n", _table(["file", "what it does"], rows) + "\n"]
    return "\n".join(parts)


def rules() -> str:
    """The schedule rules, in order."""
    rows = [(f"`{r.name}`", _first(sys.modules[r.apply.__module__].__doc__)) for r in RULES]
    text = "The first rule that accepts a kernel schedules it.\n"
    return "\n".join(["# Schedule rules", _NOTE, text, _table(["rule", "kernels"], rows), ""])


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


PAGES: dict[str, Callable[[], str]] = {
    "api": api,
    "shell": shell,
    "operators": operators,
    "targets": machines,
    "passes": passes,
    "rules": rules,
}
