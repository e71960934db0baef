"""Reading a line gives the record that was written, or a one-line QuakeError."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quake_tvm import QuakeError
from quake_tvm.machines.targets import target, targets
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.schedules.choice import PARAMETERS, Key
from quake_tvm.schedules.records.record import KERNELS, MEASURED, SCHEMA, Machine, Record, Trace
from tests.schedules.sample_records import record

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
COSTS = st.floats(1e-12, 1e12)
COUNTS = st.integers(0, 2**31 - 1)
TRACES = st.builds(
    Trace,
    st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    st.just("0.27.0"),
    st.lists(st.lists(st.integers() | st.text()), min_size=2, max_size=2),
)
RECORDS = st.builds(
    lambda traced, numbers, trace, **more: Record(
        numbers=None if traced else numbers, trace=trace if traced else None, **more
    ),
    traced=st.booleans(),
    numbers=st.dictionaries(st.sampled_from(PARAMETERS), COUNTS, max_size=5),
    trace=TRACES,
    machine=st.sampled_from(targets()).map(lambda name: Machine.of(target(name))),
    key=st.builds(
        Key,
        st.lists(NAMES, min_size=1, max_size=3).map("+".join),
        st.lists(st.integers(1, 2**31 - 1), max_size=5).map(tuple),
        st.sampled_from(["float32", "float16"]),
    ),
    cost=COSTS,
    rule_cost=COSTS,
    measured=st.sampled_from(MEASURED),
    trials=COUNTS,
    rungs=st.dictionaries(
        st.builds(lambda n: f"gelu {n}x128", st.integers(1, 99)),
        st.dictionaries(st.sampled_from(METHODS), COSTS),
        max_size=3,
    ),
)


@given(RECORDS)
def test_a_line_is_the_record(original):
    line = original.to_line()
    assert "\n" not in line
    assert Record.from_line(line) == Record.from_line(line.encode()) == original


def test_a_line_is_for_people():
    raw = json.loads(record().to_line())
    assert list(raw)[:6] == ["schema", "kernels", "operator", "shape", "dtype", "numbers"]
    assert (raw["operator"], raw["shape"]) == ("matmul", [128, 384, 1536])


def refusal(line):
    with pytest.raises(QuakeError) as error:
        Record.from_line(line)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_beginning_of_a_line_is_refused():
    line = record().to_line().encode()
    assert {refusal(line[:n]) for n in range(len(line))} == {"it is no JSON, or cut off"}


@given(st.binary(max_size=200))
def test_binary_garbage_is_refused(line):
    refusal(line)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.data())
def test_any_value_in_any_field_is_a_record_or_refused(data):
    raw = json.loads(record(rungs={"gelu 4x8": {"quake2": 1.0}}).to_line())
    at = raw
    while True:
        key = data.draw(st.sampled_from(list(at)))
        if not isinstance(at[key], dict) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(VALUES)
    try:
        found = Record.from_line(json.dumps(raw))
    except QuakeError:
        return
    assert Record.from_line(found.to_line()) == found


def changed(path, value):
    raw = json.loads(record().to_line())
    *outer, last = path.split(".")
    at = raw
    for name in outer:
        at = at[name]
    if value is KeyError:
        del at[last]
    else:
        at[last] = value
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", SCHEMA + 1, "newer version"),
        ("schema", 0, "schema, kernels"),
        ("schema", KeyError, "schema, kernels"),
        ("kernels", KERNELS + 1, "other kernels"),
        ("kernels", "1", "schema, kernels"),
        ("operator", "../../etc", "operator must be"),
        ("operator", None, "operator must be"),
        ("shape", KeyError, "shape must be"),
        ("shape", [128, None], "shape must be"),
        ("shape", [128, 0], "shape must be"),
        ("shape", [128, 2**40], "shape must be"),
        ("shape", [True], "shape must be"),
        ("numbers", {"rows": 1.5}, "numbers must be"),
        ("numbers", {"rows": True}, "numbers must be"),
        ("numbers", {"rows": -1}, "numbers must be"),
        ("numbers", {"x" * 65: 1}, "numbers must be"),
        ("numbers", {f"n{i}": 1 for i in range(300)}, "numbers must be"),
        ("numbers", {"rows": 1, "beside": 4}, "no rule has a parameter 'beside': tune again"),
        ("numbers", None, "one of the two"),
        ("cost", math.nan, "cost"),
        ("cost", math.inf, "cost"),
        ("cost", 0, "cost"),
        ("cost", "1", "cost"),
        ("rule_cost", 10**400, "cost"),
        ("rule_cost", KeyError, "fields missing"),
        ("measured", "guessed", "measured must be"),
        ("trials", -1, "trials must be"),
        ("rungs", {"gelu": {"quake2": 1}}, "rungs must be"),
        ("rungs", {"gelu 4x8": {"quake9": 1}}, "rungs must be"),
        ("machine", [], "machine must be"),
        ("machine.cpu", "../up", "cpu must be"),
        ("machine.cpu", KeyError, "machine has fields missing"),
        ("machine.lanes", 0, "lanes"),
        ("machine.features", ["magic"], "features must be"),
        ("made.date", "yesterday", "date must be"),
        ("trace", {"kernel": "0" * 16, "tvm": "0.27.0", "steps": [[], []]}, "one of the two"),
        ("surprise", 1, "the record must be of the fields"),
    ],
)
def test_what_is_wrong_with_a_line(path, value, message):
    assert message in refusal(changed(path, value))


@pytest.mark.parametrize("line", ["[" * 100_000, "null", "3", "[]", '"x"', "{}", "9" * 5000])
def test_json_that_is_no_record(line):
    refusal(line)


def test_a_record_that_cannot_be_is_not_made_either():
    for bad in ({"cost": math.nan}, {"trials": -1}, {"shape": (4, None)}, {"operator": "a b"}):
        with pytest.raises(QuakeError):
            record(**bad)


def test_machines_are_told_apart():
    pi, generic = Machine.of(target("raspberry-pi-4")), Machine.of(target("aarch64"))
    assert (pi.folder, pi.cpu, pi.cores) == ("cortex-a72", "cortex-a72", 4)
    assert (pi.vectors, pi.lanes, pi.features) == ("NEON", 4, ("fma",))
    assert generic.folder == "generic-aarch64"
    assert Machine.of(target("armv7")).folder == "generic-arm"
    assert Machine.of(target("x86-64-v4")).folder == "x86-64-v4"
    narrow = Machine.of(target({"kind": "llvm", "mcpu": "znver4", "mattr": ["-avx512f"]}))
    assert (narrow.folder, narrow.vectors) == ("znver4", "AVX2")


def test_related_machines_differ_in_cpu_and_cores_alone():
    pi = Machine.of(target("raspberry-pi-4"))
    for name in ("raspberry-pi-3", "jetson-orin", "android-arm64"):
        assert pi.related(Machine.of(target(name)))
    for name in ("armv7", "x86-64-v2", "apple-m1"):
        assert pi.related(Machine.of(target(name))) == (name == "apple-m1")
    assert not Machine.of(target("zen3")).related(Machine.of(target("zen4")))
    assert not pi.related(replace(pi, features=()))
