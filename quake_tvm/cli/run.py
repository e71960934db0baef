"""``quake-tvm run`` in the shell: run a model here or on a board. Loads TVM when it is called."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from ..errors import QuakeError
from ..support import given
from ..support.whole_file import check_writable, whole_file
from .shell import (
    TIMEOUT,
    AsJson,
    Cache,
    Key,
    MaxError,
    Method,
    NamedShape,
    Only,
    PlanPath,
    Precision,
    Records,
    Rpc,
    SizeRange,
    Skip,
    SpecialValues,
    Target,
    Timeout,
    Tracker,
    Winograd,
    board,
    busy,
    output,
    parse_named_shapes,
    parse_ranges,
    parse_records,
    print_json,
)

if TYPE_CHECKING:
    from ..boards.client import Remote


def run(
    model: Annotated[Path, typer.Argument(help="What `compile -o` wrote, or an ONNX file.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", help="NAME=FILE.npy, or FILE.npz; repeatable. Random where missing."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Outputs as .npz.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of random inputs.")] = 0,
    repeat: Annotated[int, typer.Option(help="Timed repetitions.")] = 5,
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
    rpc: Rpc = None,
    tracker: Tracker = None,
    key: Key = None,
    timeout: Timeout = TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Run a model once, time it, and print its outputs' shapes and ranges.

    On a board (--rpc or --tracker), an ONNX file is compiled for the board's target here, and the
    board's outputs are compared with those of this machine.
    """
    import numpy as np

    from .arrays import differences, feeds_for

    if target != "native" and not (rpc or tracker):
        raise QuakeError("--target is for a board: give --rpc or --tracker")
    options: dict[str, Any] = {
        "method": method,
        "max_error": max_error,
        "only": only,
        "skip": skip,
        "special_values": special_values if special_values != "ieee" else None,
        "plan": plan,
        "ranges": parse_ranges(size_range) or None,
        "records": parse_records(records),
        "precision": precision if precision != "float32" else None,
        "winograd": None if winograd else False,
        "cache": keep or None,
    }
    options = {name: value for name, value in options.items() if value is not None}
    if not _is_source(model):
        for name in [*options, *(["target"] if target != "native" else [])]:
            option = "--range" if name == "ranges" else "--" + name.replace("_", "-")
            raise QuakeError(f"{option} is for an ONNX file: {model.name} is compiled already")
    given.count(repeat, "--repeat")
    given.count(seed, "--seed", least=0)
    if out is not None:
        check_writable(out)
    shapes, apart = parse_named_shapes(shape), None
    options["shapes"] = shapes
    with busy(f"running {model.name}"), board(rpc, tracker, key, timeout) as remote:
        loaded = _load(model, target, options, remote)
        feeds = feeds_for(loaded, inputs or [], shapes, seed)
        results = loaded.run(feeds)
        seconds = loaded.benchmark(feeds, number=3, repeat=repeat)
        if remote is not None and _is_source(model):
            here = _load(model, "native", options, None)
            apart = differences(results, here.run(feeds))
        if out is not None:
            with whole_file(out) as file:
                np.savez(file, *results)
    rows: list[dict[str, Any]] = [
        {
            "name": spec.name,
            "shape": list(r.shape),
            "dtype": str(r.dtype),
            "min": float(np.min(r)) if r.size else None,
            "max": float(np.max(r)) if r.size else None,
            "finite": bool(np.all(np.isfinite(r))),
        }
        for spec, r in zip(loaded.outputs, results, strict=True)
    ]
    median = statistics.median(seconds)
    if as_json:
        facts = {"model": str(model), "seconds": seconds, "median": median, "outputs": rows}
        print_json(facts if remote is None else {**facts, "to_this_machine": apart})
        return
    table = Table("output", "shape", "dtype", "min", "max", "finite")
    for row in rows:
        shape_text = "x".join(map(str, row["shape"])) or "scalar"
        ends = (f"{row[k]:.6g}" if row[k] is not None else "-" for k in ("min", "max"))
        table.add_row(row["name"], shape_text, row["dtype"], *ends, str(row["finite"]))
    output.print(table)
    if sizes := _sizes(loaded, feeds):
        output.print(f"run with {sizes}: --shape and --input take others", soft_wrap=True)
    place = f" on {remote.name}" if remote is not None else ""
    output.print(f"{median * 1e3:.3f} ms a call{place} (median of {repeat})", soft_wrap=True)
    if apart is not None:
        output.print(
            "largest difference to this machine: "
            f"{apart['absolute']:.3g} absolute, {apart['relative']:.3g} relative"
        )
    elif remote is not None:
        output.print("not compared with this machine: that takes the ONNX file")


def _sizes(loaded: Any, feeds: dict[str, Any]) -> str:
    """The sizes of the dynamic dimensions in this run."""
    sizes = {
        name: n
        for spec in loaded.inputs
        for name, n in zip(spec.shape, feeds[spec.name].shape, strict=True)
        if isinstance(name, str)
    }
    return ", ".join(f"{name} = {n}" for name, n in sizes.items())


def _is_source(model: Path) -> bool:
    """Whether the file must be compiled first."""
    return model.suffix == ".onnx"


def _load(
    model: Path,
    target: str,
    options: dict[str, Any],
    remote: "Remote | None",
) -> Any:
    """The model, ready to run on the board or here."""
    from .. import compiler
    from ..runtime.model import load

    if _is_source(model):
        compiled = compiler.compile(model, target, **options)
        return compiled if remote is None else remote.load(compiled)
    return load(model) if remote is None else remote.load(model)
