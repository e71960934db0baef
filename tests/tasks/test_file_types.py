"""The bytes of a file that Magika sees."""

import pytest

pytest.importorskip("scipy")

from tasks import file_types
from tasks.file_types import PADDING, different, ends


def test_a_short_file_is_shown_twice_with_padding_between():
    assert ends(b"  ab \n") == [97, 98, 32, 10] + [PADDING] * 2040 + [32, 32, 97, 98]


def test_a_long_file_by_its_first_and_last_kilobyte():
    content = b" " * 4090 + b"a" * 4000 + b"b" * 4000 + b" " * 90
    shown = ends(content)
    assert len(shown) == 2048
    assert shown[:7] == [97] * 6 + [PADDING]  # the first block, without white space
    assert shown[1024:] == [98] * 1024


def test_files_count_once_and_from_a_length_on(tmp_path, monkeypatch):
    monkeypatch.setattr(file_types, "MOST", 3)
    contents = [b"x" * 100, b"short", b"x" * 100, b"y" * 100, b"z" * 100, b"w" * 100]
    paths = [tmp_path / str(n) for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert different(paths) == [b"x" * 100, b"y" * 100, b"z" * 100]
