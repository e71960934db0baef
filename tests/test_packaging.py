"""The wheel has every folder of the library, the source distribution every file of the project."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The names of the files in the wheel and in the source distribution, and the metadata."""
    pytest.importorskip("setuptools", "77")
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "dist"))
    caches = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("quake_tvm", "passes", "schedules", "docs", "tests", "tutorials"):
        shutil.copytree(ROOT / name, source / name, ignore=caches)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    program = (  # setuptools changes sys.argv
        "import sys\nfrom setuptools import build_meta\nout = sys.argv[1]\n"
        "build_meta.build_wheel(out)\nbuild_meta.build_sdist(out)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(out)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        packed = set(file.namelist())
        (name,) = (n for n in packed if n.endswith(".dist-info/METADATA"))
        metadata = file.read(name).decode()
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    return packed, names, metadata


def test_the_wheel_is_whole(built):
    packed, _, _ = built
    assert {"quake_tvm/py.typed", "quake_tvm/numerics/bounds.json"} <= packed
    assert any(fnmatch(n, "quake_tvm/schedules/records/*/softmax.jsonl") for n in packed)
    assert any(n.endswith("/licenses/LICENSE") for n in packed)
    places = {"quake_tvm/passes": ROOT / "passes", "quake_tvm/schedules": ROOT / "schedules"}
    for place, folder in {"quake_tvm": ROOT / "quake_tvm", **places}.items():
        own = {f"{place}/{p.relative_to(folder)}" for p in folder.rglob("*.py")}
        assert own <= packed
    assert not [n for n in packed if n.startswith(("tests", "docs", "passes", "schedules"))]


def test_the_source_distribution_is_whole(built):
    _, names, _ = built
    for folder in ("docs", "tests", "tutorials", "passes", "schedules", "quake_tvm"):
        files = (p for p in (ROOT / folder).rglob("*") if p.is_file())
        own = {str(p.relative_to(ROOT)) for p in files if "__pycache__" not in p.parts}
        assert own <= names
    assert {"README.md", "CHANGELOG.md", "LICENSE", "Makefile", "mkdocs.yml"} <= names


def test_the_page_of_the_package_index_has_no_relative_links(built):
    _, _, metadata = built
    text = metadata.partition("\n\n")[2]
    assert text.startswith("# quake_tvm")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert all(link.startswith("https://") for link in links)
