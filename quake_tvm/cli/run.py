"""``quake-tvm run`` in the shell: run a model here or on a board. Loads TVM when it is called."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from ..errors import QuakeError
from ..support import given
from ..support.array_file import read_npy
from ..support.whole_file import check_writable, whole_file
from .shell import (
    TIMEOUT,
    AsJson,
    Key,
    Method,
    NamedShape,
    Records,
    Rpc,
    Target,
    Timeout,
    Tracker,
    board,
    busy,
    output,
    parse_named_shapes,
    parse_records,
    print_json,
)

if TYPE_CHECKING:
    from ..boards.client import Remote
    from ..runtime.description import Described


def run(
    model: Annotated[Path, typer.Argument(help="What `compile -o` wrote, or an ONNX file.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="NAME=FILE.npy; repeatable. Random where missing."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Outputs as .npz.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of random inputs.")] = 0,
    repeat: Annotated[int, typer.Option(help="Timed repetitions.")] = 5,
    method: Method = None,
    target: Target = "native",
    shape: NamedShape = None,
    records: Records = None,
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
    if target != "native" and not (rpc or tracker):
        raise QuakeError("--target is for a board: give --rpc or --tracker")
    if not _is_source(model):
        for name, value in {"--method": method, "--records": records}.items():
            if value is not None:
                raise QuakeError(f"{name} is for an ONNX file: {model.name} is compiled already")
        if target != "native":
            raise QuakeError(f"--target is for an ONNX file: {model.name} is compiled already")
    given.count(repeat, "--repeat")
    given.count(seed, "--seed", least=0)
    if out is not None:
        check_writable(out)
    shapes, apart = parse_named_shapes(shape), None
    options = {"method": method, "shapes": shapes, "records": parse_records(records)}
    with busy(f"running {model.name}"), board(rpc, tracker, key, timeout) as remote:
        loaded = _load(model, target, options, remote)
        feeds = _feeds(loaded, inputs or [], shapes, seed)
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
            "shape": list(r.shape),
            "dtype": str(r.dtype),
            "min": float(np.min(r)) if r.size else None,
            "max": float(np.max(r)) if r.size else None,
            "finite": bool(np.all(np.isfinite(r))),
        }
        for r in results
    ]
    median = statistics.median(seconds)
    if as_json:
        facts = {"model": str(model), "seconds": seconds, "median": median, "outputs": rows}
        print_json(facts if remote is None else {**facts, "to_this_machine": apart})
        return
    table = Table("output", "shape", "dtype", "min", "max", "finite")
    for index, row in enumerate(rows):
        shape_text = "x".join(map(str, row["shape"])) or "scalar"
        ends = (f"{row[k]:.6g}" if row[k] is not None else "-" for k in ("min", "max"))
        table.add_row(str(index), shape_text, row["dtype"], *ends, str(row["finite"]))
    output.print(table)
    place = f" on {remote.name}" if remote is not None else ""
    output.print(f"{median * 1e3:.3f} ms a call{place} (median of {repeat})", soft_wrap=True)
    if apart is not None:
        output.print(
            "largest difference to this machine: "
            f"{apart['absolute']:.3g} absolute, {apart['relative']:.3g} relative"
        )
    elif remote is not None:
        output.print("not compared with this machine: that takes the ONNX file")


def differences(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> dict[str, float]:
    """The largest difference of any element, absolute and relative.

    Equal values and NaN against NaN count as 0, NaN against a number as infinity.
    """
    worst = {"absolute": 0.0, "relative": 0.0}
    for a, b in zip(found, expected, strict=True):
        a, b = (array.astype(np.float64) for array in (a, b))
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(all="ignore"):
            apart = np.where(same, 0.0, np.abs(a - b))
            shares = np.where(same, 0.0, apart / np.abs(b))
        for name, values in (("absolute", apart), ("relative", shares)):
            largest = np.nan_to_num(values, nan=np.inf).max(initial=0.0)
            worst[name] = max(worst[name], float(largest))
    return worst


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


def _feeds(
    model: "Described", items: list[str], shapes: Mapping[str, Sequence[int | str]], seed: int
) -> dict[str, Any]:
    feeds: dict[str, Any] = {}
    for item in items:
        name, separator, file = item.partition("=")
        if not separator:
            raise QuakeError(f"--input takes NAME=FILE.npy, not {item!r}")
        if name in feeds:
            raise QuakeError(f"--input {name}=... is given twice")
        feeds[name] = read_npy(file)
    names = [spec.name for spec in model.inputs]
    for name, size in shapes.items():
        if name not in names:
            raise QuakeError(f"--shape: no input {name!r}; the inputs: {', '.join(names)}")
        found = feeds[name].shape if name in feeds else tuple(size)
        if len(found) != len(size) or any(
            isinstance(n, int) and n != m for n, m in zip(size, found, strict=True)
        ):
            raise QuakeError(f"--shape says {tuple(size)} for {name!r}, and its file has {found}")
    known: dict[int | str, int] = {}  # the sizes of dynamic dimensions
    for spec in model.inputs:
        size = feeds[spec.name].shape if spec.name in feeds else shapes.get(spec.name, ())
        known |= {dim: n for dim, n in zip(spec.shape, size, strict=False) if isinstance(n, int)}
    generator = np.random.default_rng(seed)
    for spec in model.inputs:
        if spec.name in feeds:
            continue
        shape = [
            n if isinstance(n, int) else known.get(n, max(1, model.ranges.get(n, (1, None))[0]))
            for n in shapes.get(spec.name, spec.shape)
        ]
        if np.issubdtype(np.dtype(spec.dtype), np.floating):
            feeds[spec.name] = generator.standard_normal(shape).astype(spec.dtype)
        else:
            feeds[spec.name] = np.ones(shape, spec.dtype)
    return feeds
