"""``quake-tvm bench`` in the shell: options, progress, output. Loads TVM when it is called."""

import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from ..errors import QuakeError
from ..support.plots import require_matplotlib
from ..support.whole_file import whole_file
from . import bench_lengths
from .shell import (
    TIMEOUT,
    AsJson,
    Key,
    Records,
    Rpc,
    Shape,
    Target,
    Timeout,
    Tracker,
    board,
    output,
    parse_records,
    parse_shapes,
    print_json,
    progress,
)

if TYPE_CHECKING:
    import tvm

    from ..bench.cases import Case
    from ..boards.client import Remote

ROUNDS = 15
_ANY_SIZE = ", or leave it out and give --lengths 8,128 for one build for any size"
PACKAGES = ("quake-tvm", "apache-tvm", "hhb-tvm", "onnxruntime", "openvino", "torch", "numpy")


def bench(
    models: Annotated[
        list[Path] | None, typer.Argument(help="ONNX files; the kernels when there are none.")
    ] = None,
    kernel: Annotated[
        list[str] | None, typer.Option("--kernel", "-k", help="This kernel only; repeatable.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="Repeatable; ratios are to the first. [quake4]"),
    ] = None,
    target: Target = "native",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="The same for all.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved repetitions.")] = ROUNDS,
    shape: Shape = None,
    records: Records = None,
    lengths: Annotated[
        str | None,
        typer.Option(help="One build for any size beside one for each of these: 8,32,128,512."),
    ] = None,
    batches: Annotated[str | None, typer.Option(help="With --lengths: 1,8. [1]")] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N,N", help="The same for a dimension by its name: height=224,640."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the medians: .png, .svg, ...")] = None,
    static: Annotated[
        bool,
        typer.Option("--static", help="Count instructions instead, for another machine's target."),
    ] = False,
    roofline: Annotated[
        bool,
        typer.Option("--roofline", help="Each kernel of the models beside the machine's peaks."),
    ] = False,
    rpc: Rpc = None,
    tracker: Tracker = None,
    key: Key = None,
    timeout: Timeout = TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Time kernels or models, and compare with TVM's own pipelines and other runtimes in one run.

    On a board (--rpc or --tracker) compare with TVM's pipelines only. The times of an emulated
    board do not predict those of a real one: count instructions instead, with --static.
    """
    # TVM reads these when it starts its threads. The threads are not pinned, like those of all
    # contenders.
    os.environ.update(TVM_NUM_THREADS=str(threads), TVM_BIND_THREADS="0")
    from ..bench import cases, peers, show
    from ..bench.compare import compare
    from ..options import DEFAULT_METHOD, Options
    from ..tvm_version import RELAX_INSTALL, RELAY

    methods = list(dict.fromkeys(method or [DEFAULT_METHOD]))
    for name in methods:
        Options.parse(name)  # raises for an unknown method
    if RELAY and records:
        raise QuakeError(f"--records needs the TVM that has Relax: {RELAX_INSTALL}")
    if static:
        if plot is not None or rpc or tracker or (threads, rounds) != (1, ROUNDS):
            raise QuakeError(
                "--static takes no time: leave out --threads, --rounds, --plot, --rpc and --tracker"
            )
        todo = cases.models(models or [], parse_shapes(shape, _ANY_SIZE))
        todo += cases.small(kernel) if kernel or not models else []
        _count(todo, methods, target, records, as_json)
        return
    resolved = _resolve(target, here=not (rpc or tracker))
    if roofline:
        if RELAY:
            raise QuakeError(f"--roofline needs the TVM that has Relax: {RELAX_INSTALL}")
        rest = sizes or lengths is not None or batches is not None
        if not models or kernel or rest or rpc or tracker or len(methods) > 1 or threads > 1:
            raise QuakeError("--roofline takes models and one --method, on one thread, here")
        if plot is not None:
            require_matplotlib(plot)
        todo = cases.models(models, parse_shapes(shape, _ANY_SIZE))
        _hold(todo, methods[0], resolved, records, plot, as_json)
        return
    if sizes or lengths is not None or batches is not None:
        if RELAY:
            raise QuakeError(f"--lengths and --sizes need the TVM that has Relax: {RELAX_INSTALL}")
        if not models or kernel or shape or rpc or tracker or len(methods) > 1:
            raise QuakeError(
                "--lengths and --sizes take models and one --method: "
                "leave out --kernel, --shape and boards"
            )
        chosen = bench_lengths.sizes(batches, lengths, sizes or [], plot, models)
        facts = {**machine(resolved), "threads": threads, "rounds": rounds}
        known = parse_records(records)
        results = bench_lengths.results(models, chosen, methods[0], resolved, facts, known, _each)
        bench_lengths.draw(results, plot)
        _show(results, facts, plot, as_json)
        return
    if plot is not None:
        require_matplotlib(plot)
    todo = cases.models(models or [], parse_shapes(shape, _ANY_SIZE))
    for case in todo:
        peers.check(case)  # raises for what TVM lacks, before anything is measured
    if kernel or not models:
        todo += cases.kernels(kernel)
    with board(rpc, tracker, key, timeout) as remote:
        if remote is not None:
            remote.use_threads(threads)
        results = _each(
            todo,
            lambda case, progress: compare(
                case,
                methods,
                resolved,
                threads,
                rounds,
                progress,
                remote,
                parse_records(records),
            ),
        )
    facts = {**machine(resolved, remote), "threads": threads, "rounds": rounds}
    if plot is not None:
        with whole_file(plot) as file:
            show.plot(results, facts, file)
    _show(results, facts, plot, as_json)


def _show(results: list[Any], facts: dict[str, Any], plot: Path | None, as_json: bool) -> None:
    """Print the results and say which picture was written."""
    from ..bench import show

    if as_json:
        print_json({**facts, "cases": [result.to_dict() for result in results]})
        return
    output.print(
        f"{facts['cpu']}, {facts['cores']} cores; target {facts['target']}, "
        f"{facts['lanes']} float32 lanes; threads: {facts['threads']}\n"
        f"{_text(facts['versions'])}\n",
        markup=False,
        soft_wrap=True,
    )
    width = output.width if output.is_terminal else show.WIDTH
    output.print(show.tables(results, width), markup=False, soft_wrap=True)
    if plot is not None:
        output.print(f"written: {plot}")


def _each(
    todo: "Sequence[Case]", work: "Callable[[Case, Callable[[str], None]], Any]"
) -> list[Any]:
    """The result of each case, with a progress bar that shows the current step."""
    results = []
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    with progress(*columns) as bar:
        task = bar.add_task("", total=len(todo))
        for case in todo:
            results.append(work(case, lambda what: bar.update(task, description=what)))
            bar.advance(task)
    return results


def _count(
    todo: "Sequence[Case]",
    methods: "Sequence[str]",
    name: str,
    records: list[str] | None,
    as_json: bool,
) -> None:
    """Handle ``--static``: count and print."""
    from ..machines.targets import target
    from ..tvm_version import RELAX_INSTALL, RELAY

    if RELAY:
        raise QuakeError(f"--static needs the TVM that has Relax: {RELAX_INSTALL}")
    from ..bench import show_static
    from ..bench.static import Meter

    meter = Meter(target(name), parse_records(records))
    facts: dict[str, Any] = {**meter.facts(), "versions": _versions()}
    results = _each(todo, lambda case, progress: meter.result(case, methods, progress))
    if as_json:
        print_json({**facts, "cases": [result.to_dict() for result in results]})
        return
    cycles = "llvm-mca has no model of it"
    if facts["model"]:
        cycles = f"cycles by llvm-mca {facts['llvm']}, its model of {facts['model']}"
    output.print(
        f"target {facts['target']}, counted in QEMU {facts['qemu']}; {cycles}\n"
        f"{_text(facts['versions'])}\n",
        markup=False,
        soft_wrap=True,
    )
    output.print(show_static.tables(results), markup=False, soft_wrap=True)


def _hold(
    todo: "Sequence[Case]",
    method: str,
    target: "tvm.target.Target",
    records: list[str] | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Handle ``--roofline``: measure, print and draw."""
    from ..bench import peaks, show_roofline
    from ..bench.roofline import roofline

    known, most = parse_records(records), peaks.measure(target)
    results = _each(todo, lambda case, _: roofline(case, method, target, most, known))
    if plot is not None:
        with whole_file(plot) as file:
            show_roofline.plot(results, file)
    facts = {**machine(target), "threads": 1}
    if as_json:
        print_json({**facts, "cases": [result.to_dict() for result in results]})
        return
    output.print(f"{facts['cpu']}; target {facts['target']}", markup=False, soft_wrap=True)
    output.print(show_roofline.tables(results), markup=False, soft_wrap=True)
    if plot is not None:
        output.print(f"written: {plot}")


def _resolve(name: str, here: bool) -> "tvm.target.Target":
    """The target; raises QuakeError if the target must run here and cannot."""
    from ..machines.targets import runs_here, target

    resolved = target(name)
    if here and not runs_here(resolved):
        raise QuakeError(
            f"bench measures on this machine, which does not run {name} code: "
            "give a board (--rpc or --tracker), or --static"
        )
    return resolved


def machine(target: "tvm.target.Target", remote: "Remote | None" = None) -> dict[str, Any]:
    """What the figures depend on, except the number of threads."""
    from ..machines.targets import lanes

    cpu, cores = platform.processor() or platform.machine(), os.cpu_count()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((s.partition(":")[2].strip() for s in lines if s.startswith("model name")), cpu)
    if remote is not None:
        cpu, cores = remote.name, int(target.attrs["num-cores"])
    return {
        "cpu": cpu,
        "cores": cores,
        "target": str(target.attrs.get("mcpu", "generic")),
        "lanes": lanes(target),
        "versions": _versions(),
    }


def _text(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _versions() -> dict[str, str]:
    """The versions of the installed packages."""
    versions = {package: _version(package) for package in PACKAGES}
    return {package: version for package, version in versions.items() if version}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
