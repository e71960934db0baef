"""One build for any size beside a build for each size and ONNX Runtime, on published models.

    python tutorials/any_size.py ["PP-OCR classifier" ...] [--rounds 15] [--page PAGE.md]

Each model is compiled once without shapes, and once for the shapes of each input. All builds run
in turn on the same inputs, on one thread. A time is the least CPU time of the rounds. ``make
any-size`` measures all models and writes the table to docs/benchmarks/any_size.md.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import onnx

from any_size_models import MODELS, Published

METHOD = "quake4"
# CPU seconds that the calls of a turn last, about.
TURN = 0.02
HEADER = """\
| model | input | any size, ms | one size, ms | ONNX Runtime, ms | to one size | to ONNX Runtime | same bits |
|---|---|---|---|---|---|---|---|"""  # noqa: E501


def seconds(run: Callable[[], object], number: int) -> float:
    """CPU seconds of one of this many calls."""
    start = time.process_time()
    for _ in range(number):
        run()
    return (time.process_time() - start) / number


def least(runs: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """The least CPU time of each, in turn."""
    numbers = [max(1, round(TURN / max(seconds(run, 1), 1e-6))) for run in runs]
    turns = [list(map(seconds, runs, numbers)) for _ in range(rounds)]
    return list(map(min, zip(*turns, strict=True)))


def lines(name: str, published: Published, rounds: int) -> Iterator[str]:
    """The rows of the table for a model."""
    import onnxruntime

    import quake_tvm

    model = onnx.load(published.path())
    any_size = quake_tvm.compile(model, method=METHOD)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for shapes in published.shapes:
        one_size = quake_tvm.compile(model, method=METHOD, shapes=dict(shapes))
        feeds = published.feeds(model, shapes)
        pairs = zip(any_size.run(feeds), one_size.run(feeds), strict=True)
        same = all(ours.tobytes() == static.tobytes() for ours, static in pairs)
        runs = [partial(build.run, feeds) for build in (any_size, one_size)]
        a, b, c = least([*runs, partial(session.run, None, feeds)], rounds)
        size = "x".join(map(str, next(iter(shapes.values()))))
        cells = [name, size, *(f"{1e3 * each:.3g}" for each in (a, b, c))]
        cells += [f"{a / b:.2f}", f"{a / c:.2f}", "yes" if same else "no"]
        yield f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each row, since it takes long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of {', '.join(MODELS)}; all by default")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.models if name not in MODELS]:
        parser.error(f"no model {unknown[0]!r}; there are {', '.join(MODELS)}")
    os.environ["TVM_NUM_THREADS"] = "1"  # TVM reads it when it starts its threads
    found = []
    print(HEADER)
    for name in options.models or MODELS:
        for line in lines(name, MODELS[name], options.rounds):
            found.append(line)
            print(line, flush=True)
    if options.page:
        from quake_tvm.support.generated_page import write_section

        write_section(options.page, "any size", "\n".join([HEADER, *found]))


if __name__ == "__main__":
    main()
