"""A whole tune that counts: figures are always equal, and measured records take precedence."""

import json
from dataclasses import replace

import pytest

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.emulation import mca
from quake_tvm.schedules.records.book import Book
from quake_tvm.schedules.records.files import append
from tests.emulation.test_count import counted
from tests.shell import quake
from tests.tuning.test_tune_on_boards import KERNELS, records, trials


@pytest.fixture(scope="module")
def pi():
    """The target. Skips if its cycles cannot be counted."""
    found = counted("raspberry-pi-4")
    try:
        mca.version()
    except QuakeError as error:
        pytest.skip(f"{error} (sh tests/install_cross_tools.sh)")
    return found


@pytest.fixture(scope="module")
def tuned(pi, tiny, tmp_path_factory):
    """The softmax, tuned in the shell: the output and the folder."""
    folder = tmp_path_factory.mktemp("records")
    command = "tune", tiny, "--static", "-t", "raspberry-pi-4", "--ops", "softmax"
    done = quake(*command, "--cost-model", "random", "--records", folder, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def test_in_the_shell(tuned, pi, tiny):
    told, folder = tuned
    assert (told["unit"], told["stopped"]) == ("cycles", "nothing left to try")
    assert len(trials(folder)) == KERNELS + told["trials"]
    (record,) = records(folder).values()
    assert (record.measured, record.trials) == ("static", told["trials"])
    report = quake_tvm.compile(tiny, pi, records=folder).report
    (softmax,) = (site for site in report.sites if site.operator == "softmax")
    assert softmax.record == "record, same shape"


def test_the_same_figures_twice(few, tuned, pi, tiny, tmp_path):
    told, folder = tuned
    options = {"ops": "softmax", "static": True, "cost_model": "random"}
    state = quake_tvm.tune(tiny, pi, records=tmp_path, **options)
    assert (state.trials, state.failed) == (told["trials"], 0)
    figures = [
        {(t.kernel, t.candidate): (t.choices, t.timing) for t in trials(each)}
        for each in (folder, tmp_path)
    ]
    assert figures[0] == figures[1]
    choices = [records(each)["softmax"].numbers for each in (folder, tmp_path)]
    assert choices[0] == choices[1]


def test_a_measured_record_counts_for_more(tuned, pi, tmp_path):
    _, folder = tuned
    record = records(folder)["softmax"]
    other = {**record.numbers, "rows": 1 + record.numbers.get("rows", 0)}
    slower = replace(record, measured="board", numbers=other, cost=0.99 * record.rule_cost)
    append(tmp_path, record)
    assert Book.of(tmp_path, pi).decide(record.key).numbers == record.numbers
    append(tmp_path, slower)
    assert Book.of(tmp_path, pi).decide(record.key).numbers == other
