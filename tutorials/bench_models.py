"""Published models beside ONNX Runtime and OpenVINO, on one thread and on two.

    python tutorials/bench_models.py [MODEL ...] [--avx2] [--rounds 9] [--page PAGE.md]

Each contender has a process of its own. They take turns; between its turns a process sleeps. A time
is the least of all rounds: CPU time for one thread, wall time for two. Ratios are to the faster of
the others. With ``--avx2`` this library's code and OpenVINO's have no AVX-512.
``make bench-models`` measures all models both ways, writes docs/benchmarks/models.md, and draws the
ratios beside it.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import bench_models_contender
from bar_picture import picture
from bench_models_contender import CONTENDERS, IN_AVX2, METHOD
from bench_models_list import MODELS

THREADS = (1, 2)
# Seconds that a turn lasts, about.
TURN = 0.1


class Contender:
    """A process that has a model loaded."""

    def __init__(self, name: str, kind: str, model: str, threads: int, folder: Path) -> None:
        self._results = folder / f"{name}.npz"
        script = [sys.executable, bench_models_contender.__file__, name, kind, model]
        errors = folder / f"{name}.txt"
        with errors.open("w") as file:
            self._process = subprocess.Popen(
                [*script, str(threads), str(self._results)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        if self._answer() != "ready":
            self._process.communicate()
            lines = errors.read_text().strip().splitlines()
            raise RuntimeError(lines[-1] if lines else "it ended")
        self._cpu = threads == 1
        self._number = 1
        for _ in range(3):
            self._number = max(1, round(TURN / self.turn()))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def turn(self) -> float:
        """Seconds of a call."""
        assert self._process.stdin is not None
        print(self._number, file=self._process.stdin, flush=True)
        wall, cpu = map(float, self._answer().split())
        return (cpu if self._cpu else wall) / self._number

    def results(self) -> list[np.ndarray]:
        """What the model computed."""
        with np.load(self._results) as found:
            return [found[name] for name in found.files]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@dataclass(frozen=True)
class Measured:
    """A model on one number of threads.

    Attributes
    ----------
    seconds : mapping of contender to float
        Of this library first.
    difference : float
        The largest of any result from ONNX Runtime's, relative to the largest result, or to 1.
    """

    seconds: Mapping[str, float]
    difference: float

    @property
    def ratio(self) -> float:
        """This library's time by the time of the faster of the others."""
        own, *others = self.seconds.values()
        return own / min(others)


def raced(
    contenders: Sequence[str], kind: str, model: str, threads: int, rounds: int
) -> tuple[dict[str, float], dict[str, list[np.ndarray]]]:
    """The seconds and the results of all contenders that take a model. The first one must."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        running = {}
        for name in contenders:
            try:
                running[name] = Contender(name, kind, model, threads, Path(folder))
            except RuntimeError as error:
                if name == contenders[0]:
                    raise
                print(f"{name} does not take {model}: {error}", file=sys.stderr)
                continue
            stack.callback(running[name].close)
        turns = [{name: each.turn() for name, each in running.items()} for _ in range(rounds)]
        results = {name: each.results() for name, each in running.items()}
    return {name: min(turn[name] for turn in turns) for name in running}, results


def measure(
    contenders: Sequence[str], kind: str, model: str, threads: int, rounds: int
) -> Measured:
    """A model, by all contenders that take it."""
    seconds, results = raced(contenders, kind, model, threads, rounds)
    own, other, *_ = results.values()
    return Measured(seconds, difference(own, other))


def difference(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference, relative to the largest element of its array, or to 1."""
    return max(
        float(np.abs(ours - theirs).max(initial=0) / max(1, np.abs(theirs).max(initial=0)))
        for ours, theirs in zip(found, expected, strict=True)
    )


def mean(ratios: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


Found = Mapping[tuple[str, str], Mapping[int, Measured]]


def table(found: Found, contenders: Sequence[str]) -> str:
    """Milliseconds and ratios, and the geometric means."""
    titles = ["model"]
    for threads in THREADS:
        titles += [f"{name}, {threads}" for name in contenders] + ["ratio"]
    lines = [f"| {' | '.join([*titles, 'difference'])} |", "|---" * (len(titles) + 1) + "|"]
    for kind in dict.fromkeys(kind for kind, _ in found):
        chosen = {name: by for (k, name), by in found.items() if k == kind}
        for name, by_threads in chosen.items():
            cells = [name]
            for threads in THREADS:
                measured = by_threads[threads]
                cells += [milliseconds(measured, contender) for contender in contenders]
                cells.append(f"{measured.ratio:.2f}")
            cells.append(f"{by_threads[1].difference:.0e}")
            lines.append(f"| {' | '.join(cells)} |")
        lines.append(means(kind, list(chosen.values()), len(contenders)))
    lines.append(means("all", list(found.values()), len(contenders)))
    return "\n".join(lines)


def milliseconds(measured: Measured, contender: str) -> str:
    """A cell; empty if the contender did not take the model."""
    seconds = measured.seconds.get(contender)
    return "" if seconds is None else f"{1e3 * seconds:.3g}"


def means(title: str, models: Sequence[Mapping[int, Measured]], contenders: int) -> str:
    """A row of geometric means."""
    cells = [f"*{title}, geometric mean*"]
    for threads in THREADS:
        ratio = mean([by_threads[threads].ratio for by_threads in models])
        cells += [""] * contenders + [f"**{ratio:.2f}**"]
    return f"| {' | '.join([*cells, ''])} |"


def chosen(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The kinds and names of the models to measure."""
    for kind, models in MODELS.items():
        for name in models:
            if not names or name in names:
                yield kind, name


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program. Prints each ratio, since it takes long."""
    known = [name for models in MODELS.values() for name in models]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="all by default")
    parser.add_argument("--avx2", action="store_true", help="code without AVX-512")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.models if name not in known]:
        parser.error(f"no model {unknown[0]!r}; there are {'; '.join(known)}")
    contenders = list(IN_AVX2 if options.avx2 else CONTENDERS)
    found = {}
    for kind, name in chosen(options.models):
        found[kind, name] = {n: measure(contenders, kind, name, n, options.rounds) for n in THREADS}
        ratios = " ".join(f"{each.ratio:.2f}" for each in found[kind, name].values())
        print(f"{name}: {ratios}", file=sys.stderr, flush=True)
    print(table(found, contenders))
    if options.page:
        from quake_tvm.support.generated_page import write_section
        from quake_tvm.support.whole_file import whole_file

        section = "models_avx2" if options.avx2 else "models"
        drawn = options.page.with_name(f"{section}.svg")
        title = "this library's time by the faster peer's, one thread"
        ratios = {name: by_threads[1].ratio for (_, name), by_threads in found.items()}
        with whole_file(drawn) as file:
            file.write_text(picture(ratios, title))
        text = f"Rung {METHOD}, {options.rounds} rounds.\n\n{table(found, contenders)}"
        write_section(options.page, section, f"{text}\n\n![{title}]({drawn.name})")


if __name__ == "__main__":
    main()
