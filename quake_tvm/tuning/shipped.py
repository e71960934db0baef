"""Make the records that the library ships with: ``make records``, or for some targets only

    python -m quake_tvm.tuning.shipped x86-64-v4 raspberry-pi-4 --minutes 20

It tunes the kernels of the benchmark and the layers of :mod:`typical`, each separately: by the
clock if this machine runs the target's code, otherwise by counting. The trials stay in a working
folder, so that a second run resumes. The best record of each kernel is kept.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import tvm

from ..bench import cases
from ..build import import_model
from ..machines.targets import runs_here, target
from ..schedules.choice import Key
from ..schedules.records.book import SHIPPED
from ..schedules.records.files import ENDING, read
from ..schedules.records.record import Machine, Record
from ..support.whole_file import whole_file
from . import typical
from .tune import tune

TARGETS = ("x86-64-v3", "x86-64-v4", "raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-5")
# The time of kernels with more elements is limited by memory, whatever the parameters.
LARGEST = 1 << 20
WORK = Path("build/records")


def groups(counted: bool) -> dict[str, list[tvm.IRModule]]:
    """The models to tune, grouped by name. If instructions are counted, small kernels only."""
    small = cases.small()
    if not counted:
        small += [case for case in cases.kernels() if (case.elements or 0) <= LARGEST]
    kernels = {"kernels": [import_model(case.model) for case in small]}
    return kernels if counted else kernels | {n: [m] for n, m in typical.models().items()}


def best(records: Iterable[Record]) -> list[Record]:
    """The record of each kernel with the best ratio to its rule's default, ordered by shape."""
    found: dict[tuple[Key, str], Record] = {}
    for record in records:
        kernel = record.key, record.trace.kernel if record.trace is not None else ""
        if kernel not in found or record.ratio < found[kernel].ratio:
            found[kernel] = record
    return sorted(found.values(), key=lambda record: (record.key.shape, record.ratio))


def ship(work: Path, machine: Machine) -> int:
    """Write a machine's best records into the library. Returns their number."""
    count = 0
    (SHIPPED / machine.folder).mkdir(parents=True, exist_ok=True)
    for path in sorted((work / machine.folder).glob(f"*{ENDING}")):
        kept = best(read(path))
        count += len(kept)
        with whole_file(SHIPPED / machine.folder / path.name) as file:
            file.write_text("".join(f"{record.to_line()}\n" for record in kept))
    return count


def main() -> None:
    """Tune for each target, and keep the best records."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", default=TARGETS)
    parser.add_argument("--only", nargs="+", help="only these groups")
    parser.add_argument("--minutes", type=float, default=5, help="for each group")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of trials and all records")
    arguments = parser.parse_args()
    for name in arguments.targets:
        on = target(name)
        counted = not runs_here(on)
        for group, mods in groups(counted).items():
            if arguments.only and group not in arguments.only:
                continue
            state = tune(
                mods,
                on,
                minutes=arguments.minutes,
                records=arguments.work,
                static=counted,
                resume=True,
            )
            print(f"{name}, {group}\n{state}", flush=True)
        print(f"{name}: {ship(arguments.work, Machine.of(on))} records", flush=True)


if __name__ == "__main__":
    main()
