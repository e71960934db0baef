"""The wheel contains every folder of the library, with the files that are not Python."""

import sys
from fnmatch import fnmatch
from pathlib import Path

from tests import layers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def folders():
    """Every package and its folder."""
    every = layers.modules()
    return {name: path.parent for name, path in every.items() if path.name == "__init__.py"}


def test_every_folder_is_a_package():
    assert set(SETTINGS["packages"]) == set(folders())


def test_data_are_packaged():
    found = {f for folder in layers.FOLDERS for f in (ROOT / folder).rglob("*") if f.is_file()}
    data = {f for f in found if f.suffix not in (".py", ".pyc", ".md")}
    packaged = {
        file
        for package, patterns in SETTINGS["package-data"].items()
        for file in data
        if file.is_relative_to(folders()[package])
        for pattern in patterns
        if fnmatch(str(file.relative_to(folders()[package])), pattern)
    }
    assert {file.name for file in data - packaged} == set()
