"""The records that ship with the library are valid, and change no bit."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.schedules.records import files as record_files
from quake_tvm.schedules.records.book import Book
from quake_tvm.tuning.typical import Encoder, encoder

SHIPPED = Path(record_files.__file__).parent
FILES = sorted(SHIPPED.glob("*/*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_line_is_a_record(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = record_files.read(path)
    assert len(records) == len(path.read_text().splitlines()) > 0
    for record in records:
        assert record.ratio <= 1
        assert record.trials > 0
        assert record.measured == ("clock" if record.machine.architecture == "x86_64" else "static")


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4"])
def test_they_are_found(name):
    """Each record is found for its target, if that target has as many cores."""
    on = target(name)
    book = Book([SHIPPED], on)
    for path in (SHIPPED / name).glob("*.jsonl"):
        for record in record_files.read(path):
            if record.machine == book.machine and record.trace is None:
                assert book.decide(record.key).source == "record, same shape"


def test_a_model_keeps_its_bits():
    mod = encoder(Encoder(tokens=128, width=384, heads=12, hidden=1536, first=False))
    x = np.random.default_rng(0).standard_normal((1, 128, 384), np.float32)
    ruled = quake_tvm.compile(mod, records=False).run(x)
    np.testing.assert_array_equal(quake_tvm.compile(mod, records=SHIPPED).run(x), ruled)
