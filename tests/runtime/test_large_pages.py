"""Weights in large pages of memory."""

import ctypes
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tvm

import quake_tvm
from quake_tvm.runtime import large_pages
from quake_tvm.runtime.large_pages import LEAST, PAGE, WEIGHTS, joined, size_of, use_large_pages
from tests.helpers import module


def test_neighbours_are_one_block_of_whole_pages():
    assert joined([(5 * PAGE, 6 * PAGE + 1), (1, 3 * PAGE), (3 * PAGE + 64, 4 * PAGE + 1)]) == [
        (PAGE, 6 * PAGE)
    ]
    assert joined([(1, PAGE), (3 * PAGE, 4 * PAGE)]) == [(3 * PAGE, 4 * PAGE)]


def _in_large_pages(address: int) -> int:
    """The bytes in large pages of the mapping that has this address."""
    for text in re.split(
        r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.M
    ):
        ends = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", text)
        if ends and int(ends[1], 16) <= address < int(ends[2], 16):
            return 1024 * int(re.search(r"^AnonHugePages: +(\d+) kB", text, re.M)[1])
    return 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="large pages are asked of Linux")
def test_large_tensors_move_and_keep_their_values(monkeypatch, tmp_path):
    x = np.arange(2 * LEAST // 4, dtype=np.float32)
    tensor = tvm.runtime.tensor(x)
    answers = []
    ask = ctypes.CDLL(None).madvise
    ask.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int

    def madvise(begin, size, advice):
        answers.append((begin, begin + size, ask(begin, size, advice)))

    setting = tmp_path / "enabled"
    setting.write_text("always madvise [never]\n")
    with monkeypatch.context() as patch:
        patch.setattr(large_pages.ctypes, "CDLL", lambda _: SimpleNamespace(madvise=madvise))
        patch.setattr(large_pages, "_SETTING", setting)
        use_large_pages([tensor])
    assert not answers
    with monkeypatch.context() as patch:
        patch.setattr(large_pages.ctypes, "CDLL", lambda _: SimpleNamespace(madvise=madvise))
        use_large_pages([tensor])
    np.testing.assert_array_equal(tensor.numpy(), x)
    ((begin, end, refused),) = answers
    assert [(begin, end)] == joined([(tensor.data_ptr(), tensor.data_ptr() + x.nbytes)])
    if refused:
        pytest.skip("this kernel has not enough large pages, or moves no memory when asked")
    # kernels that agreed have reported 14 of the 32 MiB
    assert _in_large_pages(tensor.data_ptr()) > 0


def test_weights_are_those_that_the_kernels_read(tmp_path):
    weights = np.random.default_rng(0).standard_normal((256, 128)).astype(np.float32)
    built = quake_tvm.compile(
        module(lambda x: tvm.relax.op.matmul(x, tvm.relax.const(weights)), (1, 256)), method="exact"
    )
    for model in (built, quake_tvm.load(built.export(tmp_path / "model.so"))):
        read = []

        def note(_function, name, before, _result, *arguments, read=read):
            if before and name.startswith("matmul"):
                read.append(arguments[1].data_ptr())
            return 0

        model.instrumented(note).run(np.ones((1, 256), np.float32))
        with model._machines.one() as machine:
            found = machine.vm[WEIGHTS]()
        assert [x.data_ptr() for x in found] == read
        assert [size_of(x) for x in found] == [weights.nbytes]
