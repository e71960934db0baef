"""``quake-tvm targets`` in the shell: the named targets. Loads TVM when it is called."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from .shell import AsJson, output, print_json


def targets(
    name: Annotated[
        str | None, typer.Argument(help="A target: print all that is known of it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the named targets, or describe one.

    A target of TVM's, as a JSON dictionary, works wherever a name does.
    """
    from ..machines.targets import targets as names

    rows = [_facts(each) for each in ([name] if name else names())]
    if as_json:
        print_json(rows)
    elif name:
        _describe(rows[0])
    else:
        _list(rows)


def _facts(name: str) -> dict[str, Any]:
    from ..machines.targets import config, describe, features, lanes, target, vectors

    resolved = target(name)
    return {
        "name": name,
        "description": describe(name),
        "cores": int(resolved.attrs["num-cores"]),
        "vectors": vectors(resolved),
        "lanes": lanes(resolved),
        "features": features(resolved),
        "target": config(name),
    }


def _vector(row: dict[str, Any]) -> str:
    return "none" if row["vectors"] == "none" else f"{row['lanes']} {row['vectors']}"


def _describe(row: dict[str, Any]) -> None:
    """Print one target, a fact a line."""
    for what, text in (
        (row["name"], row["description"]),
        ("cores", row["cores"]),
        ("float32 vectors", _vector(row)),
        ("features", " ".join(row["features"]) or "none"),
        ("TVM's target", json.dumps(row["target"])),
    ):
        output.print(f"{what}: {text}", markup=False, soft_wrap=True)


def _list(rows: list[dict[str, Any]]) -> None:
    """Print a table. Names are never cut off."""
    table = Table(caption="quake-tvm targets NAME describes one.")
    table.add_column("name", no_wrap=True)
    for column in ("what it is", "cores", "float32 vectors", "features"):
        table.add_column(column)
    for row in rows:
        cells = row["description"], str(row["cores"]), _vector(row), " ".join(row["features"])
        table.add_row(row["name"], *cells)
    output.print(table)
