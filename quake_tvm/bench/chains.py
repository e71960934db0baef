"""Measure compile times of chains of operators: ``python -m quake_tvm.bench.chains``.

With ``--page docs/compile_time.md`` it writes the table of this environment's TVM to that page, and
the picture next to it. Times are CPU seconds of this process. Knows no pass.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from quake_tvm.support.generated_page import write_section
from quake_tvm.support.whole_file import whole_file
from quake_tvm.tvm_version import RELAY

from .line_picture import picture

if RELAY:
    from .relay_chains import LINKS, build, chain
else:
    from .relax_chains import LINKS, build, chain

TVM = "relay" if RELAY else "relax"
LENGTHS = (2, 10, 100, 1000, 5000)
METHODS = ("exact", "quake2", "quake5")
PROGRAM = "python -m quake_tvm.bench.chains"

# Seconds by link and rung, one number for each length.
Times = dict[tuple[str, str], list[float]]


def seconds(name: str, length: int, method: str) -> float:
    """CPU time of compiling one chain."""
    mod = chain(name, length)
    start = time.process_time()
    build(mod, method)
    return time.process_time() - start


def measured(lengths: Sequence[int]) -> Times:
    """The times of every link on every rung. Prints each result, since it takes long."""
    times: Times = {}
    for name in LINKS:
        for method in METHODS:
            build(chain(name, 1), method)  # load what is loaded only once
            times[name, method] = [seconds(name, length, method) for length in lengths]
            print(name, method, *(f"{each:.2f}" for each in times[name, method]), flush=True)
    return times


def table(times: Times, lengths: Sequence[int]) -> str:
    """The times as Markdown."""
    lines = [
        f"| a link | rung | {' | '.join(f'{n:,} links' for n in lengths)} | a link, ms |",
        f"|---|---|{'---|' * (len(lengths) + 1)}",
    ]
    for (name, method), taken in times.items():
        cells = " | ".join(f"{each:.2f}" for each in taken)
        lines.append(f"| {name} | {method} | {cells} | {taken[-1] / lengths[-1] * 1e3:.1f} |")
    return "\n".join(lines)


def write(page: Path, times: Times, lengths: Sequence[int]) -> None:
    """Write the table into its section of the page, and the picture next to the page."""
    drawn = page.with_name(f"{page.stem}_{TVM}.svg")
    lines = {
        f"{name}, {method}": list(zip(lengths, taken, strict=True))
        for (name, method), taken in times.items()
    }
    with whole_file(drawn) as file:
        file.write_text(picture(lines, "links", "CPU seconds"))
    command = " ".join([PROGRAM, *map(str, lengths), "--page", str(page)])
    title = TVM.capitalize()
    text = (
        f"`{command}`, in {title}'s environment:\n\n{table(times, lengths)}\n\n"
        f"![{title}: CPU seconds over the length of a chain]({drawn.name})"
    )
    write_section(page, TVM, text)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("lengths", nargs="*", type=int, default=LENGTHS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    times = measured(options.lengths)
    if options.page:
        write(options.page, times, options.lengths)
    else:
        print(table(times, options.lengths))


if __name__ == "__main__":
    main()
