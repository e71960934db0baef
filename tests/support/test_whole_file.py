"""Files that are written whole or not at all."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from quake_tvm.errors import QuakeError
from quake_tvm.support.whole_file import check_writable, whole_file

WAIT = """
import sys
from pathlib import Path
from quake_tvm.support.whole_file import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write_text("half")
    print(flush=True)
    sys.stdin.read()
"""


def write(path, text="whole", **options):
    with whole_file(path, **options) as file:
        file.write_text(text)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_holds(tmp_path, umask):
    old = os.umask(umask)
    try:
        write(tmp_path / "text")
        write(tmp_path / "program", mode=0o777)
        assert os.umask(umask) == umask  # the umask was read, not changed
    finally:
        os.umask(old)
    for name, mode in (("text", 0o666), ("program", 0o777)):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode & ~umask


def test_what_fails_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    write(path, "before")

    def fail(file):
        file.write_text("half")
        raise KeyError

    with pytest.raises(KeyError), whole_file(path) as file:
        fail(file)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_too_little_room(tmp_path):
    with pytest.raises(QuakeError, match="No space left"):
        write(tmp_path / "file", room=2**60)
    assert not os.listdir(tmp_path)


def test_of_a_link_the_target_is_written(tmp_path):
    (tmp_path / "link").symlink_to("file")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "whole"


def test_devices_pipes_and_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(os.devnull)
    (tmp_path / "circle").symlink_to("circle")
    for name, message in (
        ("pipe", "a device or a pipe"),
        ("link", "a device or a pipe"),
        (os.devnull, "a device or a pipe"),
        (".", "a folder"),
        ("missing/file", "No such file"),
        ("x" * 300, "File name too long"),
        ("circle", "cannot write"),
    ):
        for attempt in (check_writable, write):
            with pytest.raises(QuakeError, match=message):
                attempt(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["circle", "link", "pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_what_a_killed_process_left_goes(tmp_path):
    path = tmp_path / "file"
    command = [sys.executable, "-c", WAIT, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        write(path)
        assert len(os.listdir(tmp_path)) == 2  # the other process is still at work
        other.send_signal(signal.SIGKILL)
    write(path, "anew")
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_text() == "anew"


def test_what_is_read_is_not_replaced(tmp_path):
    model, link = tmp_path / "model.onnx", tmp_path / "link"
    model.write_text("model")
    link.symlink_to(model)
    for path in (model, link):
        with pytest.raises(QuakeError, match="it is the file that is read; name another"):
            check_writable(path, but=model)
    check_writable(tmp_path / "model.so", but=model)
