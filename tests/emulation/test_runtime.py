"""TVM's runtime for boards, unpacked from wheels that the tests make themselves."""

import hashlib
import zipfile
from importlib import metadata

import pytest

from quake_tvm.emulation import runtime
from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.support import cache
from tests.emulation.machines import ARMV7, MACHINES


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is pip's only index, and an empty cache."""
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


def make_wheel(index, package, monkeypatch):
    """A wheel with known content."""
    version, name = metadata.version(package), package.replace("-", "_")
    path = index / f"{name}-{version}-py3-none-manylinux_2_28_aarch64.whl"
    about = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for member in runtime.WHEELS[package]:
            wheel.writestr(member, f"{package}'s")
        wheel.writestr("large.so", "of no use")
        wheel.writestr(f"{name}-{version}.dist-info/METADATA", about)
        wheel.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(runtime.SHA256, (package, version), (content,))
    return path


def test_the_libraries_alone_are_taken_out_and_kept(index, monkeypatch):
    for package in runtime.WHEELS:
        make_wheel(index, package, monkeypatch)
    found = runtime.libraries(target("aarch64"))
    names = {path.name for path in found.iterdir()}
    assert names == {"libtvm_runtime.so", "libtvm_runtime_extra.so", "libtvm_ffi.so"}
    assert (found / "libtvm_ffi.so").read_text() == "apache-tvm-ffi's"
    for wheel in index.iterdir():
        wheel.unlink()
    assert runtime.libraries(target("raspberry-pi-4")) == found
    assert list(cache.folder().iterdir()) == [found]


def test_other_content_is_refused(index, monkeypatch):
    with make_wheel(index, "apache-tvm", monkeypatch).open("ab") as wheel:
        wheel.write(b"more")
    with pytest.raises(QuakeError, match="its content is not what it was"):
        runtime.libraries(target("aarch64"))
    monkeypatch.setattr(runtime, "SHA256", {})
    with pytest.raises(QuakeError, match="is not among the releases"):
        runtime.libraries(target("aarch64"))
    assert not list(cache.folder().iterdir())


def test_a_failed_download_is_one_line_and_leaves_nothing(index, monkeypatch):
    make_wheel(index, "apache-tvm", monkeypatch)
    with pytest.raises(
        QuakeError, match=r"pip cannot download apache-tvm-ffi==.*aarch64: "
    ) as error:
        runtime.libraries(target("aarch64"))
    assert "\n" not in str(error.value)
    assert not list(cache.folder().iterdir())


def test_what_pypi_does_not_have(index):
    with pytest.raises(QuakeError, match="no TVM for arm"):
        runtime.libraries(target(MACHINES[ARMV7]))
