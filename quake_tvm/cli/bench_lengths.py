"""``quake-tvm bench --lengths`` and ``--sizes``: one build for any size beside static builds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import QuakeError
from ..support.whole_file import whole_file

if TYPE_CHECKING:
    import tvm

    from ..bench.cases import Case
    from ..bench.lengths import Sizes


def sizes(
    batches: str | None,
    lengths: str | None,
    named: Sequence[str],
    plot: Path | None,
    models: Sequence[Path],
) -> "Sizes":
    """The sizes to measure. Without batches there is one, of 1.

    Raises
    ------
    QuakeError
        For anything but positive numbers, and for a picture that cannot be drawn.
    """
    from ..bench.lengths import Sizes

    if plot is not None and (plot.suffix != ".svg" or len(models) > 1 or named):
        raise QuakeError("--plot with --lengths draws one model as .svg, without --sizes")
    found: dict[str, list[int]] = {}
    for item in named:
        name, _, numbers = item.rpartition("=")
        if not name or name in found:
            raise QuakeError(f"--sizes takes each NAME=8,32,128 once, not {item!r:.60}")
        found[name] = _numbers(numbers, f"--sizes {name}")
    return Sizes(
        _numbers(batches or "1", "--batches"),
        [] if lengths is None else _numbers(lengths, "--lengths"),
        found,
    )


def _numbers(text: str, option: str) -> list[int]:
    numbers = [int(n) if n.strip().isdecimal() else 0 for n in text.split(",")]
    if 0 in numbers:
        raise QuakeError(f"{option} takes positive numbers, as 8,32,128, not {text!r:.60}")
    return list(dict.fromkeys(numbers))


def results(
    models: Sequence[Path],
    sizes: "Sizes",
    method: str,
    target: "tvm.target.Target",
    facts: Mapping[str, Any],
    records: Any,
    each: Callable[..., list[Any]],
) -> list[Any]:
    """Measure every model at every size.

    Parameters
    ----------
    models : sequence of Path
        ONNX files.
    sizes : Sizes
    method : str
        A rung.
    target : tvm.target.Target
    facts : mapping
        The numbers of threads and rounds.
    records : path, list of paths, False or None
    each : callable
        Takes the cases and the work for one, and shows the progress.
    """
    from ..bench import lengths
    from ..bench.compare import compare
    from ..bench.runtimes import RUNTIMES

    found = []
    for path in models:
        todo = lengths.cases(path, sizes)
        others = {lengths.ANY: lengths.any_size(path, target, method, records), **RUNTIMES}

        def measured(case: "Case", step: Callable[[str], None], others: Any = others) -> Any:
            given = facts["threads"], facts["rounds"], step
            return compare(case, [method], target, *given, records=records, others=others)

        found += each(todo, measured)
    return found


def draw(results: Sequence[Any], plot: Path | None) -> None:
    """Draw milliseconds over the length, if a picture is wanted."""
    from ..bench import lengths
    from ..bench.line_picture import picture

    if plot is not None:
        with whole_file(plot) as file:
            file.write_text(picture(lengths.lines(results), "length", "milliseconds a call"))
