"""``python -m quake_tvm.bench.chains``: what compiling takes as a chain of operators grows.

Writes the table of ``docs/compile_time.md`` with ``--page``. CPU seconds of this process, which
compiles on one core. Knows no pass.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tvm import IRModule, relax

from quake_tvm.compiler import compile
from quake_tvm.generated_page import write_section

LENGTHS = (2, 10, 100, 1000, 5000)
Link = Callable[[relax.Expr], relax.Expr]
# What a link computes of the one before.
LINKS: dict[str, Link] = {
    "tanh(x)": relax.op.tanh,
    "sigmoid(x)": relax.op.sigmoid,
    "x + tanh(x)": lambda x: relax.op.add(x, relax.op.tanh(x)),
    "sigmoid(x) tanh(x)": lambda x: relax.op.multiply(relax.op.sigmoid(x), relax.op.tanh(x)),
}
METHODS = ("exact", "quake2", "quake5")
SECTION = "chains"


def chain(link: Link, length: int) -> IRModule:
    """So many links, one behind the other, on a small tensor."""
    builder = relax.BlockBuilder()
    value = x = relax.Var("x", relax.TensorType((2, 64), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            for _ in range(length):
                value = builder.emit(link(value))
            result = builder.emit_output(value)
        builder.emit_func_output(result)
    return builder.get()


def seconds(link: Link, length: int, method: str) -> float:
    """CPU time of compiling a chain."""
    mod = chain(link, length)
    start = time.process_time()
    compile(mod, method=method)
    return time.process_time() - start


def table(lengths: Sequence[int]) -> str:
    """Seconds by link, rung and length, in Markdown."""
    compile(chain(relax.op.abs, 1))  # what is loaded once
    lines = [
        f"| a link | rung | {' | '.join(f'{n:,} links' for n in lengths)} | a link, ms |",
        f"|---|---|{'---|' * (len(lengths) + 1)}",
    ]
    for name, link in LINKS.items():
        for method in METHODS:
            taken = [seconds(link, length, method) for length in lengths]
            cells = " | ".join(f"{each:.2f}" for each in taken)
            lines.append(f"| {name} | {method} | {cells} | {taken[-1] / lengths[-1] * 1e3:.1f} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m quake_tvm.bench.chains", description=__doc__)
    parser.add_argument("lengths", nargs="*", type=int, default=LENGTHS)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    text = table(options.lengths)
    if options.page:
        write_section(options.page, SECTION, text)


if __name__ == "__main__":
    main()
