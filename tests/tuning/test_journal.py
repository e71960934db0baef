"""Trials in a file: every added trial is read, whatever else the file contains."""

import json
from dataclasses import asdict

import pytest

from quake_tvm import QuakeError
from quake_tvm.schedules.records.files import RecordWarning
from quake_tvm.tuning.journal import Journal, Trial
from quake_tvm.tuning.runner import Timing

TRIAL = Trial("now", "here", "k", "softmax", "c", {"rows": 2}, 1.5, Timing(1e-3, "", "d"))


def line_of(cost=1e-3, **values):
    timing = {"cost": cost, "error": "", "digest": "d"}
    return json.dumps({"schema": 1, **asdict(TRIAL), "timing": timing, **values})


def test_what_is_added_is_read(tmp_path):
    journal = Journal(tmp_path / "znver4")
    assert not journal.trials()
    journal.add(TRIAL)
    journal.add(TRIAL)
    assert journal.trials() == [TRIAL, TRIAL]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "it is no trial, or cut off"),
        ("[]", "it is no trial, or cut off"),
        ("{}", "it is no trial, or cut off"),
        ("\xff\x00", "it is no trial, or cut off"),
        (json.dumps({"schema": 1, "timing": {}}), "it is no trial, or cut off"),
        (line_of(kernel=["k"]), "it is no trial, or cut off"),
        (line_of(more=1), "it is no trial, or cut off"),
        (line_of("1"), "it is no trial, or cut off"),
        (line_of(float("nan")), "it is no trial, or cut off"),
        (line_of(-1), "it is no trial, or cut off"),
        (json.dumps({"schema": 2}), "another version of quake_tvm has written it"),
    ],
)
def test_what_is_no_trial_is_passed_over(tmp_path, line, says):
    journal = Journal(tmp_path)
    journal.add(TRIAL)
    with journal.path.open("a", encoding="latin1") as file:
        file.write(line)  # and dies before the end of the line
    journal.add(TRIAL)
    with pytest.warns(RecordWarning, match=rf"trials\.journal:2: .*{says}"):
        assert journal.trials() == [TRIAL, TRIAL]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "znver4")
    for attempt in (journal.check, lambda: journal.add(TRIAL)):
        with pytest.raises(QuakeError, match=r"^cannot write .*trials\.journal: ") as error:
            attempt()
        assert "\n" not in str(error.value)


def test_the_check_leaves_the_trials_alone(tmp_path):
    journal = Journal(tmp_path)
    journal.add(TRIAL)
    journal.check()
    assert journal.trials() == [TRIAL]
