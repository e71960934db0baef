"""``python -m tests.fuzz.files --seconds 120``: mutated files, given to the code that reads them.

Each must end, within the deadline, in success or in a QuakeError of one line. Ends with status 1 if
a file crashed or hung its reader, or caused another exception, and keeps that file.
"""

import argparse
import contextlib
import itertools
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.runtime.model import Model
from quake_tvm.schedules.records.files import read
from quake_tvm.site_plan import Plan
from quake_tvm.support.array_file import read_npy, read_npz

from .file_bases import models, others
from .forked import in_children
from .mutations import mutate, mutated_bytes

DEADLINE = 60.0
# A limit of memory, so that a file that requests all memory is refused.
_MEMORY = 12 << 30
_MODELS = 0.8


@dataclass(frozen=True)
class Case:
    """A mutated file."""

    seed: int
    name: str
    content: bytes


def case(seed: int) -> Case:
    """The file of a seed, always the same."""
    random = Random(seed)
    if random.random() < _MODELS:
        name, model = random.choice(sorted(models().items(), key=lambda item: item[0]))
        return Case(seed, f"{name}.onnx", mutate(model, random))
    kind, content = random.choice(sorted(others().items()))
    name = "softmax.jsonl" if kind == "jsonl" else f"x.{kind}"
    return Case(seed, name, mutated_bytes(content, random))


def _use(path: Path) -> Model | None:
    """Read the file with the code for its type."""
    if path.suffix == ".onnx":
        return quake_tvm.compile(path)
    if path.suffix == ".toml":
        plan = Plan.load(path)
        plan.check(1)
        plan.method("gelu", 1)
        str(plan)
    elif path.suffix == ".jsonl":
        read(path)
    else:
        (read_npy if path.suffix == ".npy" else read_npz)(path)
    return None


def _outcome(given: Case) -> Iterator[str]:
    """What a child process reports of a case: a line."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / given.name
        path.write_bytes(given.content)
        try:
            _use(path)
        except QuakeError as error:
            text = str(error)
            if not text.strip() or "\n" in text:
                raise AssertionError(f"not one line: {text!r}") from None
            yield "refused"
        else:
            yield "taken"


def run(seeds: Iterable[int], jobs: int = 1) -> Iterator[tuple[Case, str]]:
    """Each seed's case and its result: ``taken``, ``refused``, or the reason why it is a fault."""
    for ended in in_children(_outcome, map(case, seeds), jobs, DEADLINE):
        yield ended.item, ended.death or (ended.lines or ["nothing said"])[-1]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.files", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long (120)")
    parser.add_argument("--files", type=int, default=10**9, help="at most so many")
    parser.add_argument("--seed", type=int, help="the first seed (by the clock)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-files"), help="for what fails")
    given = parser.parse_args()
    first = int(time.time()) * 1000 if given.seed is None else given.seed
    print(f"seeds from {first}", flush=True)
    end, counts, failed = time.monotonic() + given.seconds, Counter(), 0
    seeds = itertools.islice(itertools.count(first), given.files)
    with contextlib.suppress(KeyboardInterrupt):
        for found, outcome in run(itertools.takewhile(lambda _: time.monotonic() < end, seeds)):
            if outcome in ("taken", "refused"):
                counts[outcome] += 1
                continue
            failed += 1
            given.keep.mkdir(exist_ok=True)
            kept = given.keep / f"{found.seed}_{found.name}"
            kept.write_bytes(found.content)
            print(f"{kept}: {outcome[-600:]}", flush=True)
    print(f"taken {counts['taken']}, refused {counts['refused']}, failed {failed}")
    return int(failed > 0)


if __name__ == "__main__":
    os.environ.setdefault("TVM_NUM_THREADS", "1")
    sys.exit(main())
