"""Temporary folders are removed at the end of their process, or when the next process begins."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from quake_tvm.support.scratch import LOCK, PREFIX, Scratch

# A process with a folder that has a file in a folder. It runs until it is told to end.
OTHER = """
import pathlib
import sys
from quake_tvm.support.scratch import LOCK, PREFIX, Scratch

folder = Scratch()
inner = pathlib.Path(folder.name, "inner")
inner.mkdir()
(inner / "file").touch()
print(folder.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No folders of other processes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    assert not list(tmp_path.iterdir())


def test_it_is_there_until_it_is_cleaned_up():
    with Scratch() as name:
        assert Path(name).is_dir()
        with Scratch() as other:
            assert other != name
        assert Path(name).is_dir()
    folder = Scratch()
    folder.cleanup()
    folder.cleanup()


@pytest.mark.parametrize("killed", [False, True])
def test_only_what_a_killed_process_has_left_is_removed(tmp_path, killed):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OTHER], text=True, **pipes) as other:
        theirs = Path(other.stdout.readline().strip())
        with Scratch():
            assert (theirs / "inner" / "file").is_file()
        if killed:
            other.kill()
    assert theirs.is_dir() == killed
    with Scratch() as name:
        assert list(tmp_path.iterdir()) == [Path(name)]


def test_what_is_not_locked_yet_is_left_alone(tmp_path):
    fresh = Path(tempfile.mkdtemp(prefix="quake_tvm-", dir=tmp_path))
    (fresh / "new").touch()
    with Scratch():
        assert fresh.is_dir()
    (fresh / "new").unlink()
    fresh.rmdir()


def test_what_others_put_there_is_left_alone(tmp_path):
    """Opening a pipe in the place of the lock would block."""
    pipe, link = tmp_path / f"{PREFIX}pipe", tmp_path / f"{PREFIX}link"
    for folder in (pipe, link):
        folder.mkdir()
    os.mkfifo(pipe / LOCK)
    (tmp_path / "kept").touch()
    (link / LOCK).symlink_to(tmp_path / "kept")
    Scratch().cleanup()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept", link.name, pipe.name]
    for path in (pipe / LOCK, link / LOCK, tmp_path / "kept"):
        path.unlink()
    for folder in (pipe, link):  # a killed process without a lock may leave these
        os.utime(folder, (0, 0))
    Scratch().cleanup()
    assert not list(tmp_path.iterdir())
