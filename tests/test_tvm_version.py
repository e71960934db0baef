"""A wrong TVM gives a one-line error that says what to install."""

from importlib import metadata, util

import pytest

from quake_tvm import tvm_version


def versions(monkeypatch, **found):
    def version(package):
        if package not in found:
            raise metadata.PackageNotFoundError(package)
        return found[package]

    monkeypatch.setattr(metadata, "version", version)


def test_the_pair_that_crashes_is_refused(monkeypatch):
    versions(monkeypatch, **{"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.15.post2"})
    with pytest.raises(ImportError, match=r"pip install 'apache-tvm-ffi.*<0\.1\.15'") as error:
        tvm_version.check_versions()
    assert "\n" not in str(error.value)


def test_no_tvm_at_all(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"apache-tvm==0\.27.*hhb-tvm==") as error:
        tvm_version.check_versions()
    assert "\n" not in str(error.value)


def test_a_tvm_of_another_name_passes(monkeypatch):
    versions(monkeypatch)
    tvm_version.check_versions()


def test_the_good_pair_passes(monkeypatch):
    versions(monkeypatch, **{"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.14.post1"})
    tvm_version.check_versions()
