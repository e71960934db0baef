"""Functions that make records for tests."""

from dataclasses import replace
from pathlib import Path

from quake_tvm.machines.targets import target
from quake_tvm.schedules.choice import Key
from quake_tvm.schedules.records.files import append
from quake_tvm.schedules.records.record import Machine, Made, Record

SHAPE = (128, 384, 1536)


def record(name="cortex-a72", operator="matmul", shape=SHAPE, numbers=None, **more) -> Record:
    """A record for a named target that takes half of the rule's time."""
    numbers = None if "trace" in more else {"rows": 3} if numbers is None else numbers
    cores, dtype = more.pop("cores", None), more.pop("dtype", "float32")
    machine = Machine.of(target(name))
    if cores is not None:
        machine = replace(machine, cores=cores)
    date = more.pop("date", "2026-11-26T12:00:00Z")
    values = {"cost": 1e-3, "rule_cost": 2e-3, "measured": "clock", "trials": 64, **more}
    made = Made("0.1.0", "0.27.0", date)
    return Record(machine, Key(operator, shape, dtype), numbers=numbers, made=made, **values)


def plant(folder: Path, *records: Record) -> Path:
    """Write these records to the folder; returns the folder."""
    for each in records:
        append(folder, each)
    return folder
