"""Labelled data from Debian packages, as plain files.

A package is downloaded once with apt, checked against its SHA-256, and unpacked into the user's
cache. It is never installed.
"""

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from model_data import DataError, cache


@dataclass(frozen=True)
class Package:
    """A Debian package of a pinned version.

    Attributes
    ----------
    name, version : str
    sha256 : str
    """

    name: str
    version: str
    sha256: str


STAMPS = Package(
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
)


def stamps() -> Path:
    """Tux Paint's stamps: pictures in folders. The outermost folders are the categories."""
    return unpacked(STAMPS) / "usr/share/tuxpaint/stamps"


def unpacked(package: Package) -> Path:
    """The folder with the package's files. It is cached.

    Raises
    ------
    DataError
        If this system is not Debian, apt does not have that version, the file's hash differs from
        the pinned one, or the cache cannot be written.
    """
    folder = cache() / f"{package.name}_{package.version}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            _run(["apt-get", "download", f"{package.name}={package.version}"], temporary)
            (file,) = Path(temporary).glob("*.deb")
            found = hashlib.sha256(file.read_bytes()).hexdigest()
            if found != package.sha256:
                raise DataError(f"{file.name} has SHA-256 {found}, expected {package.sha256}")
            _run(["dpkg", "-x", file.name, "files"], temporary)
            os.replace(Path(temporary) / "files", folder)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}") from None
    return folder


def _run(command: list[str], folder: str) -> None:
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise DataError(f"there is no {command[0]} here: these data are a Debian package") from None
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataError(f"{' '.join(command)}: {reason}")
