"""Published models with ``precision="bfloat16"`` beside float32 and OpenVINO's bfloat16.

    python tutorials/bench_bfloat16.py [MODEL ...] [--rounds 9] [--page PAGE.md]

As ``bench_models.py``: a process for each contender, CPU time on one thread. *Error* is the root
mean square of the differences from this library's float32, relative to that of the results; the
largest of all outputs. ONNX Runtime has no bfloat16 for CPUs.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench_models import chosen, mean, raced
from bench_models_contender import IN_BFLOAT16, METHOD

OWN, HALF, PEER = IN_BFLOAT16
# One of each kind, and a network of few channels.
CHOSEN = (
    "MiniLM-L3, 1x128",
    "MiniLM-L6, 1x128",
    "DINOv2 ViT-S/14",
    "NudeNet",
    "PP-OCRv4 detector",
    "PP-OCRv4 recognizer",
    "orientation",
    "open-nsfw",
)
HEADER = f"""\
| model | {OWN} | {HALF} | {PEER} | to {OWN} | to {PEER} | error | {PEER}, error |
|---|---|---|---|---|---|---|---|"""


def error(found: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> float:
    """The root mean square of the differences, relative to that of the results."""

    def size(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))

    pairs = zip(found, exact, strict=True)
    return max(size(a - b) / size(b) for a, b in pairs if b.dtype.kind == "f" and b.any())


def row(
    name: str, seconds: Mapping[str, float], results: Mapping[str, list[np.ndarray]]
) -> tuple[str, list[float]]:
    """A line of the table, and its two ratios."""
    ratios = [seconds[HALF] / seconds[each] for each in (OWN, PEER)]
    cells = [name, *(f"{1e3 * seconds[each]:.3g}" for each in IN_BFLOAT16)]
    cells += [f"{ratio:.2f}" for ratio in ratios]
    cells += [f"{error(results[each], results[OWN]):.1e}" for each in (HALF, PEER)]
    return f"| {' | '.join(cells)} |", ratios


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=CHOSEN, help="; ".join(CHOSEN))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    lines, ratios = [HEADER], []
    for kind, name in chosen(options.models):
        seconds, results = raced(list(IN_BFLOAT16), kind, name, 1, options.rounds)
        if PEER not in seconds:
            continue  # raced has said why
        found = row(name, seconds, results)
        lines.append(found[0])
        ratios.append(found[1])
        print(found[0], file=sys.stderr, flush=True)
    means = " | ".join(f"**{mean(each):.2f}**" for each in zip(*ratios, strict=True))
    lines.append(f"| *geometric mean* |  |  |  | {means} |  |  |")
    text = "\n".join(lines)
    print(text)
    if options.page:
        from quake_tvm.support.generated_page import write_section

        page_text = f"Milliseconds, rung {METHOD}, {options.rounds} rounds.\n\n{text}"
        write_section(options.page, "bfloat16 models", page_text)


if __name__ == "__main__":
    main()
