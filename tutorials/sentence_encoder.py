"""A pretrained sentence encoder on every rung, compared with ONNX Runtime (``make demo``).

The model is paraphrase-MiniLM-L3-v2, a three-layer transformer of 17 million parameters with a
softmax and a GELU in each layer. Its inputs are sixty English sentences, one at a time, padded to
128 tokens. For each method the table gives the number of lowered sites, their proven error, the
time of a sentence, the largest difference from ONNX Runtime in any output, and whether the order of
the sentences by similarity is unchanged.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import model_data

if TYPE_CHECKING:
    from quake_tvm import Model

METHODS = ("exact", "quake1", "quake2", "quake3", "quake4", "quake5")
TOKENS = 128
ORT = "ORT"
SENTENCES = Path(__file__).with_name("sentences.txt")
Feeds = dict[str, np.ndarray]

NOTES = """\
exact     this library's own build with nothing lowered: TVM's softmax and GELU
          call the C library's exp and erf for every element. The schedule rules
          are the same; TVM's softmax keeps its own order of summation.
lowered   exponential nonlinearities, of those that the model has.
bound     proven error of one such operator, relative to its result; the largest.
          To it comes an absolute error of {absolute:.1g} at most.
ms        median of {rounds} rounds of {number} calls, the rows in turn in each round.
/exact    time over that of the row "exact", median of the rounds; /ORT likewise.
max diff  largest difference to ONNX Runtime in any element of any output: the
          embeddings of the {tokens} tokens and of the sentence.
nearest   sentences whose nearest (by cosine) is another one than for ONNX Runtime,
          which finds one of the same group of paraphrases for {grouped} of {sentences}.
order     pairs that lie in the same order of similarity to a third sentence."""


@dataclass
class Row:
    """One line of the table. None if a figure has no meaning."""

    method: str
    lowered: int | None = None
    sites: int | None = None
    bound: float | None = None
    absolute: float | None = None
    milliseconds: float = 0.0
    to_exact: float = 1.0
    to_ort: float = 1.0
    difference: float | None = None
    nearest_changed: int | None = None
    order_kept: float | None = None


def read_sentences(limit: int) -> tuple[list[str], np.ndarray]:
    """The sentences, and the number of the paraphrase group of each."""
    groups = SENTENCES.read_text(encoding="utf-8").split("\n\n")[1:]
    rows = [(text, n) for n, group in enumerate(groups) for text in group.strip().splitlines()]
    return [text for text, _ in rows[:limit]], np.array([n for _, n in rows[:limit]])


def tokenize(sentences: list[str]) -> list[Feeds]:
    """A batch of one for each sentence, padded to TOKENS, with its attention mask."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_data.tokenizer()))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)
    return [
        {
            "input_ids": np.array([encoding.ids], dtype=np.int64),
            "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
        }
        for encoding in tokenizer.encode_batch(sentences)
    ]


def similarities(outputs: list[list[np.ndarray]]) -> np.ndarray:
    """Cosines between sentences, -1 on the diagonal. The model's last output is an embedding."""
    embeddings = np.concatenate([output[-1] for output in outputs]).astype(np.float64)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -1.0)
    return cosines


def order_kept(reference: np.ndarray, found: np.ndarray) -> float:
    """The share of (sentence, pair of others) for which both agree on the nearer of the pair."""
    count = len(reference)
    first, second = np.triu_indices(count, 1)
    agree = np.sign(reference[:, first] - reference[:, second]) == np.sign(
        found[:, first] - found[:, second]
    )
    itself = np.arange(count)[:, None]
    return float(agree[(first != itself) & (second != itself)].mean())


def measure(
    timers: dict[str, Callable[[int], float]], rounds: int, number: int
) -> dict[str, np.ndarray]:
    """Seconds a call for each timer and round. A round runs every timer once, in rotation."""
    names = list(timers)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for n in range(rounds):
        start = n % len(names)
        for name in names[start:] + names[:start]:
            timers[name](1)  # the threads of the previous contender go to sleep
            seconds[name].append(timers[name](number))
    return {name: np.array(values) for name, values in seconds.items()}


def timer_of(run: Callable[[Feeds], object], feeds: Feeds) -> Callable[[int], float]:
    """A timer for a plain function."""

    def timer(number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            run(feeds)
        return (time.perf_counter() - start) / number

    return timer


@contextmanager
def step(console: Console, text: str) -> Iterator[None]:
    """Say what is being done: in a terminal until it is done, else as a line of standard error."""
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        print(text, file=sys.stderr, flush=True)
        yield


@contextmanager
def without_warning(text: str) -> Iterator[None]:
    """Remove the lines with ``text`` from what C++ writes to standard error."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            captured.seek(0)
            written = captured.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.writelines(line for line in written if text not in line)


def machine(threads: int, target: str) -> dict[str, str]:
    """The facts about the machine that the figures depend on."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [s.partition(":")[2].strip() for s in lines if s.startswith("model name")]
        cpu = names[0] if names else cpu
    packages = ("quake-tvm", "apache-tvm", "onnxruntime", "numpy")
    return {
        "CPU": f"{cpu}, {os.cpu_count()} cores",
        "target": target,
        "threads": str(threads),
        **{name: metadata.version(name) for name in packages},
    }


def compare(arguments: argparse.Namespace, console: Console) -> tuple[list[Row], dict, int]:
    """Compile, run and time everything.

    Returns
    -------
    rows : list of Row
    facts : dict
        The machine.
    grouped : int
        The number of sentences whose nearest sentence in ONNX Runtime is in the same group.
    """
    import onnxruntime

    import quake_tvm

    with step(console, "fetching the model and its vocabulary (150 MB, once)"):
        path = model_data.sentence_encoder()
        sentences, groups = read_sentences(arguments.sentences)
        feeds = tokenize(sentences)
    shapes = {name: array.shape for name, array in feeds[0].items()}

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    models: dict[str, Model] = {}
    for method in METHODS:
        with step(console, f"compiling: {method}"), without_warning("Fast mode segfaults"):
            models[method] = quake_tvm.compile(path, method=method, shapes=shapes)

    with step(console, "embedding the sentences"):
        expected = [session.run(None, feed) for feed in feeds]
        reference = similarities(expected)
        rows = [Row(ORT)]
        for method, model in models.items():
            outputs = [model.run(feed) for feed in feeds]
            found = similarities(outputs)
            row = Row(method, lowered=len(model.report.sites))
            row.sites = row.lowered + len(model.report.exact)
            row.bound = max((site.relative for site in model.report.sites), default=None)
            row.absolute = max((site.absolute for site in model.report.sites), default=None)
            row.difference = max(
                float(np.abs(a - b).max())
                for one, other in zip(outputs, expected, strict=True)
                for a, b in zip(one, other, strict=True)
            )
            row.nearest_changed = int((found.argmax(1) != reference.argmax(1)).sum())
            row.order_kept = order_kept(reference, found)
            rows.append(row)

    with step(console, "measuring"):
        feed = feeds[0]
        timers: dict[str, Callable[[int], float]] = {
            ORT: timer_of(lambda f: session.run(None, f), feed)
        }
        for method, model in models.items():
            timers[method] = lambda number, model=model: statistics.fmean(
                model.benchmark(feed, number=number, repeat=1)
            )
        seconds = measure(timers, arguments.rounds, arguments.number)
        for row in rows:
            taken = seconds[row.method]
            row.milliseconds = float(np.median(taken)) * 1e3
            row.to_exact = float(np.median(taken / seconds["exact"]))
            row.to_ort = float(np.median(taken / seconds[ORT]))

    target = str(quake_tvm.target("native").attrs["mcpu"])
    grouped = int((groups[reference.argmax(1)] == groups).sum())
    return rows, machine(arguments.threads, target), grouped


def draw(rows: list[Row], sentences: int) -> Table:
    """The rows as a table for the terminal."""
    title = f"paraphrase-MiniLM-L3-v2, {sentences} sentences, each padded to {TOKENS} tokens"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), title_justify="left")
    table.add_column("method")
    for name in ("lowered", "bound", "ms", "/exact", "/ORT", "max diff", "nearest", "order"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = [f"{row.milliseconds:.2f}", f"{row.to_exact:.2f}", f"{row.to_ort:.2f}"]
        if row.method == ORT:
            table.add_row(ORT, "", "", *cells)
            continue
        table.add_row(
            row.method,
            f"{row.lowered} of {row.sites}",
            "" if row.bound is None else f"{row.bound:.2g}",
            *cells,
            f"{row.difference:.2g}",
            f"{row.nearest_changed} differ" if row.nearest_changed else "same",
            f"{row.order_kept:.3%}",
        )
    return table


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""

    def positive(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
        return int(text)

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=positive, default=1, help="of TVM and of ONNX Runtime")
    parser.add_argument("--sentences", type=positive, default=60, help="how many of them, from 3")
    parser.add_argument("--rounds", type=positive, default=15, help="of the measurement")
    parser.add_argument("--number", type=positive, default=10, help="calls in a round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    arguments = parser.parse_args(argv)
    if arguments.sentences < 3:
        parser.error("an order of similarity takes 3 sentences at least")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the comparison and print it; returns the exit status."""
    arguments = parse(argv)
    os.environ["TVM_NUM_THREADS"] = str(arguments.threads)  # read when TVM starts its threads
    console = Console(highlight=False)
    try:
        from quake_tvm.errors import QuakeError

        rows, facts, grouped = compare(arguments, console)
    except ModuleNotFoundError as error:
        return fail(f"{error.name} is not installed: pip install -e '.[demo]'")
    except (model_data.DataError, QuakeError) as error:
        return fail(str(error))
    for name, value in facts.items():
        console.print(f"{name:<13}{value}", soft_wrap=True)
    sentences = len(read_sentences(arguments.sentences)[0])
    console.print(draw(rows, sentences))
    notes = NOTES.format(
        rounds=arguments.rounds,
        number=arguments.number,
        tokens=TOKENS,
        absolute=max(row.absolute or 0.0 for row in rows),
        grouped=grouped,
        sentences=sentences,
    )
    console.print(notes, style="dim", soft_wrap=True)
    if arguments.json:
        results = {**facts, "sentences": sentences, "rows": [asdict(row) for row in rows]}
        try:
            arguments.json.write_text(json.dumps(results, indent=2) + "\n")
        except OSError as error:
            return fail(f"cannot write {arguments.json}: {error.strerror}")
    return 0


def fail(message: str) -> int:
    """Print one line on standard error; returns the exit status for a mistake of the user."""
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
