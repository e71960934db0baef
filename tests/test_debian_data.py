"""Packages are downloaded with apt and checked. Any failure is a one-line error."""

import hashlib
import os

import pytest

import debian_data
import model_data
from debian_data import Package

CONTENT = b"a package"
PACKAGE = Package("nothing", "1.0-1", hashlib.sha256(CONTENT).hexdigest())
APT = f"""#!/bin/sh
[ "$1 $2" = "download nothing=1.0-1" ] || {{ echo "E: no $2" >&2; exit 100; }}
printf '{CONTENT.decode()}' > nothing_1.0-1_all.deb
"""
DPKG = """#!/bin/sh
mkdir "$3" && cp "$2" "$3/data"
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder with a made-up apt-get and dpkg, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"apt-get": APT, "dpkg": DPKG}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_package_is_unpacked_once(tools):
    folder = debian_data.unpacked(PACKAGE)
    assert (folder / "data").read_bytes() == CONTENT
    assert list(model_data.cache().iterdir()) == [folder]
    (tools / "apt-get").unlink()
    assert debian_data.unpacked(PACKAGE) == folder


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (Package("nothing", "1.0-1", "0"), "nothing_1.0-1_all.deb has SHA-256 .*, expected 0"),
        (Package("other", "2", "0"), "apt-get download other=2: E: no other=2"),
    ],
)
def test_what_is_not_as_pinned_is_refused(tools, package, said):
    with pytest.raises(model_data.DataError, match=said):
        debian_data.unpacked(package)
    assert not list(model_data.cache().iterdir())


def test_without_apt(tools, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(model_data.DataError, match="no apt-get here: these data are a Debian pac"):
        debian_data.unpacked(PACKAGE)
