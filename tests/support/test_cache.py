"""A cache entry is made once, whole or not at all."""

import pytest

from quake_tvm.errors import QuakeError
from quake_tvm.support import cache


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def make_folder(path):
    path.mkdir()
    (path / "file").write_text("made")


def refuse(path):
    raise AssertionError("made again")


def test_what_is_made_is_kept():
    kept = cache.keep("thing", make_folder)
    assert kept == cache.folder() / "thing"
    assert (cache.keep("thing", refuse) / "file").read_text() == "made"
    assert list(cache.folder().iterdir()) == [kept]


def test_half_of_it_is_not_kept():
    def make(path):
        make_folder(path)
        raise QuakeError("no more")

    with pytest.raises(QuakeError, match="no more"):
        cache.keep("thing", make)
    assert not list(cache.folder().iterdir())


def test_another_process_may_be_first():
    def make(path):
        make_folder(path)
        make_folder(cache.folder() / "thing")

    assert (cache.keep("thing", make) / "file").read_text() == "made"


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "quake_tvm").write_text("a file")
    with pytest.raises(QuakeError, match=r"cannot write .*: "):
        cache.keep("thing", make_folder)
