"""Files of records lose no record that was reported. A broken line only causes a warning."""

import contextlib
import json
import multiprocessing
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quake_tvm import QuakeError
from quake_tvm.schedules.records import files as record_files
from quake_tvm.schedules.records.files import RecordWarning, append, read
from quake_tvm.schedules.records.record import KERNELS, SCHEMA
from tests.schedules.sample_records import plant, record

FILE = "cortex-a72/matmul.jsonl"
GOOD = record().to_line().encode() + b"\n"
# TVM takes a second to load: a fork has it already.
FORK = multiprocessing.get_context("fork")


def write(folder, first, last, go, reports):
    """Add records, and report each that is added by its number of trials."""
    go.wait()
    for n in range(first, last):
        append(folder, record(trials=n))
        reports.send(n)


def writers(folder, *ranges):
    """Processes that add records at the same time, and the connections of their reports."""
    go, started = FORK.Event(), []
    for first, last in ranges:
        reports, end = FORK.Pipe(duplex=False)
        process = FORK.Process(target=write, args=(folder, first, last, go, end), daemon=True)
        process.start()
        end.close()
        started.append((process, reports))
    go.set()
    return started


def reported(reports):
    """The reports that have not been read, until the writer has ended."""
    with contextlib.suppress(EOFError):
        while True:
            yield reports.recv()


def told(path):
    """(records, warnings) of a file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(path)
    assert all(w.category is RecordWarning for w in caught)
    texts = [str(w.message) for w in caught]
    assert not any("\n" in text for text in texts)
    return found, texts


def written(tmp_path, content, name=FILE):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_records_come_back_in_their_order(tmp_path):
    records = [record(cost=s) for s in (3e-3, 1e-3, 2e-3)]
    plant(tmp_path, *records, record(operator="gelu", shape=(1, 2)), record("zen4"))
    assert told(tmp_path / FILE) == (records, [])
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.jsonl")}
    assert names == {FILE, "cortex-a72/gelu.jsonl", "znver4/matmul.jsonl"}


def test_many_writers_lose_nothing(tmp_path):
    each, count = 200, 8
    for process, reports in writers(tmp_path, *((k * each, (k + 1) * each) for k in range(count))):
        process.join()
        assert len(list(reported(reports))) == each
    records, texts = told(tmp_path / FILE)
    assert not texts
    assert sorted(r.trials for r in records) == list(range(count * each))


def test_a_writer_that_is_killed_has_written_what_it_reported(tmp_path):
    seen = []
    for turn in range(5):
        ((process, reports),) = writers(tmp_path, (turn * 10_000, (turn + 1) * 10_000))
        seen += [reports.recv() for _ in range(5 + 7 * turn)]
        process.kill()
        process.join()
        seen += reported(reports)
    records, _ = told(tmp_path / FILE)
    assert set(seen) <= {r.trials for r in records}


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_a_line_that_a_dead_writer_left_is_skipped_and_closed(tmp_path, cut):
    path = written(tmp_path, GOOD + GOOD[:cut])
    append(tmp_path, record(trials=7))
    records, texts = told(path)
    assert [r.trials for r in records] == [64, 7]
    expected = [f"{path}:2: this record is not used: it is no JSON, or cut off"]
    assert texts == (expected if cut else [])


def test_a_last_line_without_its_end_is_whole(tmp_path):
    path = written(tmp_path, GOOD[:-1])
    append(tmp_path, record())
    assert told(path) == ([record()] * 2, [])


def line(**fields):
    """A valid line, except for these fields."""
    return json.dumps(json.loads(GOOD) | fields).encode() + b"\n"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"\x00\xff\xfe\x80" * 50 + b"\n", "no JSON"),
        (GOOD.replace(b"0.001", b"NaN"), "cost, rule_cost must be positive"),
        (line(schema=SCHEMA + 1, surprise=[]), "newer version"),
        (line(kernels=KERNELS + 1), "other kernels"),
        (record("zen4").to_line().encode() + b"\n", "another machine"),
        (line(operator="frobnicate"), "another operator"),
        (b'{"schema": 1, "x": "' + b"x" * (3 << 20) + b'"}\n', "no JSON, or cut off"),
        (b"[" * 500_000 + b"\n", "no JSON"),
        (b"<<<<<<< HEAD\n", "no JSON"),
    ],
)
def test_a_broken_line_costs_itself_and_a_warning(tmp_path, broken, reason):
    path = written(tmp_path, GOOD + broken + GOOD + broken * 2 + b"\n" + GOOD)
    records, (text,) = told(path)
    assert records == [record()] * 3
    assert text.startswith(f"{path}:2: ")
    assert "(and 2 more lines)" in text
    assert reason in text


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_anything_in_a_file_leaves_the_rest(tmp_path_factory, garbage, ended):
    path = written(tmp_path_factory.mktemp("records"), GOOD + garbage + b"\n" * ended)
    append(path.parent.parent, record(trials=7))
    records, _ = told(path)
    assert [r.trials for r in records][:: len(records) - 1] == [64, 7]


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / FILE).mkdir(parents=True)
    records, (text,) = told(tmp_path / FILE)
    assert records == []
    assert text.startswith(f"{tmp_path / FILE}: ")


def test_a_record_too_long_for_a_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(record_files, "LONGEST", 100)
    with pytest.raises(QuakeError, match="longer"):
        append(tmp_path, record())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "cortex-a72").write_text("not a folder")
    with pytest.raises(QuakeError, match="cannot write") as error:
        append(tmp_path, record())
    assert "\n" not in str(error.value)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = written(tmp_path, GOOD)
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(GOOD) + 10, limits[1]))
    try:
        with pytest.raises(QuakeError, match="cannot write"):
            append(tmp_path, record())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == GOOD
