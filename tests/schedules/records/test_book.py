"""Which record is used for a kernel: the order of the look-up, and records that are never used."""

import warnings

import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st

from quake_tvm import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.schedules.choice import Choice, Key
from quake_tvm.schedules.records.book import Book, bucket, distance
from quake_tvm.schedules.records.files import RecordWarning
from quake_tvm.schedules.records.record import Trace
from tests.schedules.sample_records import SHAPE, plant, record

KEY = Key("matmul", SHAPE)
NEAR, NEARER = (256, 384, 1536), (144, 384, 1536)
PI = "raspberry-pi-4"


def decided(folder, key=KEY, name=PI, *more):
    return Book([folder, *more], target(name)).decide(key)


# In the order of the look-up: (source, fields of the record).
ORDER = [
    ("record, same shape", {"shape": SHAPE}),
    ("record of 144x384x1536", {"shape": NEARER}),
    ("record of 256x384x1536", {"shape": NEAR}),
    ("record of 128x384x1536 on 8 cores", {"shape": SHAPE, "cores": 8}),
    ("record of cortex-a53 128x384x1536", {"name": "cortex-a53", "shape": SHAPE}),
    ("record of cortex-a53 144x384x1536", {"name": "cortex-a53", "shape": NEARER}),
    ("record of cortex-a76 256x384x1536", {"name": "cortex-a76", "shape": NEAR}),
]


@pytest.mark.parametrize("first", range(len(ORDER) + 1))
def test_the_order_of_the_look_up(tmp_path, first):
    given = ORDER[first:]
    for n, (_, values) in enumerate(given):
        # Later records are faster, which must not matter.
        plant(tmp_path, record(numbers={"rows": n}, cost=1e-3 / (n + 1), **values))
    assert decided(tmp_path) == (Choice({"rows": 0}, given[0][0]) if given else Choice())


@pytest.mark.parametrize(
    "values",
    [
        {"name": "zen4"},
        {"name": "armv7"},
        {"dtype": "float16"},
        {"operator": "convolution"},
        {"shape": (512, 384, 1536)},
        {"shape": (128, 384)},
        {"shape": (31, 384, 1536)},
        {"shape": NEAR, "cost": 1.97e-3},
        {"name": "cortex-a53", "cost": 1.97e-3},
    ],
    ids=str,
)
def test_what_never_answers(tmp_path, values):
    plant(tmp_path, record(**values))
    assert decided(tmp_path) == Choice()


@pytest.mark.parametrize("shape", [(None, 384, 1536), (128, 384, None), (0, 384, 1536)])
def test_shapes_that_are_not_looked_up(tmp_path, shape):
    plant(tmp_path, record())
    assert decided(tmp_path, Key("matmul", shape)) == Choice()


def test_other_kernels_of_the_library_never_answer(tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr("quake_tvm.schedules.records.record.KERNELS", 7)
        plant(tmp_path, record())
    with pytest.warns(RecordWarning, match=r"matmul\.jsonl:1: .*other kernels"):
        assert decided(tmp_path) == Choice()


def test_a_record_for_the_rule(tmp_path):
    plant(tmp_path, record(cost=2.1e-3), record(shape=NEAR, numbers={}, cost=2e-3))
    assert decided(tmp_path) == Choice({}, "record, same shape")
    # The nearest record decides, although the next one has numbers.
    plant(tmp_path, record(name="cortex-a53", shape=NEAR, cost=1e-3))
    assert decided(tmp_path, Key("matmul", NEAR)) == Choice({}, "record, same shape")
    assert decided(tmp_path, Key("matmul", (250, 384, 1536))) == Choice()


def test_among_equals_the_faster_and_then_the_newest(tmp_path):
    plant(
        tmp_path,
        record(numbers={"rows": 1}, cost=1.5e-3, date="2026-12-01T00:00:00Z"),
        record(numbers={"rows": 2}, cost=2e-3, rule_cost=4e-3, date="2026-11-02T00:00:00Z"),
        record(numbers={"rows": 3}, date="2026-11-03T00:00:00Z"),
        record(numbers={"rows": 4}, date="2026-11-01T00:00:00Z"),
    )
    assert decided(tmp_path).numbers == {"rows": 3}
    plant(tmp_path, record(numbers={"rows": 5}, date="2026-11-03T00:00:00Z"))
    assert decided(tmp_path).numbers == {"rows": 5}


def test_what_was_measured_comes_before_what_was_counted(tmp_path):
    counted = record(numbers={"rows": 1}, cost=1e-4, measured="static")
    plant(tmp_path, counted)
    assert decided(tmp_path).numbers == {"rows": 1}
    plant(tmp_path, record(numbers={"rows": 2}, measured="board"))
    assert decided(tmp_path).numbers == {"rows": 2}


def test_earlier_folders_come_first_where_records_are_equally_near(tmp_path):
    mine = plant(tmp_path / "mine", record(shape=NEAR, numbers={"rows": 1}))
    other = plant(
        tmp_path / "other",
        record(shape=NEAR, numbers={"rows": 2}, cost=1e-4),
        record(shape=NEARER, numbers={"rows": 3}),
    )
    assert decided(mine, KEY, PI, other).numbers == {"rows": 1}
    assert decided(other, KEY, PI, mine).numbers == {"rows": 3}
    assert decided(mine, Key("matmul", NEARER), PI, other).numbers == {"rows": 3}


def test_shipped_records_come_last(tmp_path, monkeypatch):
    shipped = plant(tmp_path / "shipped", record(numbers={"rows": 1}))
    mine = plant(tmp_path / "mine", record(numbers={"rows": 2}))
    monkeypatch.setattr("quake_tvm.schedules.records.book.SHIPPED", shipped)
    pi = target(PI)
    assert Book.of(None, pi).decide(KEY).numbers == {"rows": 1}
    assert Book.of(mine, pi).decide(KEY).numbers == {"rows": 2}
    assert Book.of(str(mine), pi).decide(KEY).numbers == {"rows": 2}
    assert Book.of(False, pi).decide(KEY) == Choice()


def test_a_broken_file_is_told_of_once_and_costs_nothing_else(tmp_path):
    plant(tmp_path, record())
    with (tmp_path / "cortex-a72/matmul.jsonl").open("a") as file:
        file.write("broken\n" * 1000)
    book = Book([tmp_path], target(PI))
    with pytest.warns(RecordWarning) as caught:
        assert [book.decide(KEY).source for _ in range(3)] == ["record, same shape"] * 3
    assert [str(w.message).partition(": ")[0] for w in caught] == [
        f"{tmp_path}/cortex-a72/matmul.jsonl:2"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        book.decide(Key("gelu", (4, 8)))


@pytest.mark.parametrize("records", ["missing", "file", True, 3, [3], {"a": 1}], ids=str)
def test_what_is_no_folder_of_records(tmp_path, monkeypatch, records):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(QuakeError, match="records") as error:
        Book.of(records, target(PI))
    assert "\n" not in str(error.value)


COSTS = {"quake1": 1.0, "quake2": 1.5, "quake4": 1.015, "quake5": 1.03}


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (["quake1", "quake2", "quake3", "quake4", "quake5"], "quake4"),
        (["quake2", "quake3", "quake4", "quake5"], "quake5"),
        (["quake2", "quake3"], "quake2"),
        (["quake3"], None),
    ],
)
def test_the_rung_of_a_site(tmp_path, allowed, expected):
    rungs = {"gelu 128x1536": COSTS}
    plant(tmp_path, record(rungs=rungs), record("cortex-a53", rungs={"tanh 4x8": COSTS}))
    book = Book([tmp_path], target(PI))
    assert book.rung("gelu", "128x1536", allowed) == expected
    for site in (("gelu", "128x1537"), ("tanh", "4x8"), ("tanh", "128x1536")):
        assert book.rung(*site, allowed) is None


def test_the_newest_record_of_a_site_has_its_rung(tmp_path):
    old = record(rungs={"gelu 4x8": {"quake1": 1.0, "quake5": 9.0}})
    new = record(
        operator="gelu",
        rungs={"gelu 4x8": {"quake1": 9.0, "quake5": 1.0}},
        date="2026-12-01T00:00:00Z",
    )
    plant(tmp_path, new, old)
    assert Book([tmp_path], target(PI)).rung("gelu", "4x8", ["quake1", "quake5"]) == "quake5"


def test_traces_do_not_answer_for_numbers(tmp_path):
    plant(tmp_path, record(trace=Trace("0" * 16, tvm.__version__, [[], []])))
    assert decided(tmp_path) == Choice()


SHAPES = st.lists(st.integers(1, 10_000), min_size=1, max_size=4)


@given(SHAPES, SHAPES)
def test_distance_within_a_bucket(a, b):
    if bucket(a) == bucket(b):
        assert distance(a, b) == pytest.approx(distance(b, a))
        assert 0 <= distance(a, b) < 2 * len(a)
        assert (distance(a, b) == 0) == (a == b)


def test_buckets_are_powers_of_four():
    assert bucket((1, 2, 7, 8, 31, 32, 127, 128, 511, 512)) == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
