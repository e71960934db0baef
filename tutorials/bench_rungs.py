"""What lowering saves: published models on each rung, beside ``exact`` with the same schedules.

    python tutorials/bench_rungs.py [MODEL ...] [--rounds 9] [--page PAGE.md]

As ``bench_models.py``: a process for each rung, CPU time on one thread, the least of all rounds.
A model without a nonlinearity to lower is left out. ``make bench-rungs`` measures all models, and
writes docs/benchmarks/rungs.md.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from bench_models import chosen, raced
from bench_models_contender import METHOD, RUNGS
from bench_models_list import MODELS

EXACT, *LOWERED = RUNGS
HEADER = f"""\
| model | sites | exact, ms | {" | ".join(LOWERED)} |
|---|---|---|{"---|" * len(LOWERED)}"""


def sites(kind: str, name: str) -> int:
    """The number of nonlinearities of a model that are lowered."""
    import quake_tvm

    published = MODELS[kind][name]
    path = published.path()
    feeds = published.feeds(onnx.load(path), published.shapes[0])
    shapes = {each: array.shape for each, array in feeds.items()}
    model = quake_tvm.compile(str(path), method=METHOD, shapes=shapes, cache=True)
    return len(model.report.sites)


def savings(seconds: Mapping[str, float]) -> list[float]:
    """The part of the exact build's time that each rung saves."""
    return [1 - seconds[rung] / seconds[EXACT] for rung in LOWERED]


def row(name: str, count: int, seconds: Mapping[str, float]) -> str:
    """A line of the table."""
    saved = [f"{saving:.0%}" for saving in savings(seconds)]
    return f"| {' | '.join([name, str(count), f'{1e3 * seconds[EXACT]:.3g}', *saved])} |"


def distribution(saved: Sequence[Sequence[float]]) -> str:
    """Lines of the least, the quartiles and the largest saving of each rung."""
    titles = ("least", "lower quartile", "median", "upper quartile", "largest")
    lines = []
    for title, values in zip(titles, np.quantile(saved, (0, 0.25, 0.5, 0.75, 1), 0), strict=True):
        cells = " | ".join(f"{value:.0%}" for value in values)
        lines.append(f"| *{title}* |  |  | {cells} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each line, since it takes long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="all by default")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    lines, saved = [HEADER], []
    for kind, name in chosen(options.models):
        count = sites(kind, name)
        if not count:
            continue
        seconds, _ = raced(list(RUNGS), kind, name, 1, options.rounds)
        lines.append(row(name, count, seconds))
        saved.append(savings(seconds))
        print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join([*lines, distribution(saved)])
    print(text)
    if options.page:
        from quake_tvm.support.generated_page import write_section

        write_section(options.page, "rungs", f"{options.rounds} rounds.\n\n{text}")


if __name__ == "__main__":
    main()
