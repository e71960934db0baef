"""A library that changed after its export is refused before its code is loaded."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.runtime.sealed_library import SEAL, check_seal
from tests.test_compiler import X, mlp


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "model.so"
    return quake_tvm.compile(mlp(), method="quake3").export(path)


def test_a_whole_one_loads(library):
    check_seal(library)
    assert len(quake_tvm.load(library).run(X)) == 1


def test_cut_off_anywhere(library, tmp_path):
    whole, cut = library.read_bytes(), tmp_path / "cut.so"
    for length in [*range(0, len(whole), len(whole) // 100), *range(len(whole) - 60, len(whole))]:
        cut.write_bytes(whole[:length])
        with pytest.raises(QuakeError, match=r"cut off.*export it again"):
            quake_tvm.load(cut)


def test_changed_anywhere(library, tmp_path):
    whole, changed = library.read_bytes(), tmp_path / "changed.so"
    places = np.random.default_rng(0).integers(0, len(whole), 100)
    for place in [0, *places, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(place) % 8
        changed.write_bytes(damaged)
        with pytest.raises(QuakeError, match="export"):
            quake_tvm.load(changed)


def test_something_else(library, tmp_path):
    other = tmp_path / "other.so"
    for content in (b"", b"not a library", SEAL, library.read_bytes() + b"\0"):
        other.write_bytes(content)
        with pytest.raises(QuakeError, match="no whole model"):
            quake_tvm.load(other)
    older = library.read_bytes()[: -len(SEAL) - 32]  # versions without a digest wrote it like this
    other.write_bytes(older)
    with pytest.raises(QuakeError, match=r"not from Model.export of this version; export it again"):
        quake_tvm.load(other)
