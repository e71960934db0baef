"""Models can be pickled, copied and sent to other processes, and describe themselves."""

import copy
import gc
import pickle
import subprocess
import warnings

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.options import DEFAULT_METHOD
from quake_tvm.tvm_version import tir
from tests.helpers import module
from tests.processes import python

X = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
WAYS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "pickle of a pickle": lambda model: pickle.loads(pickle.dumps(WAYS["pickle"](model))),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(scope="module")
def model() -> quake_tvm.Model:
    return quake_tvm.compile(module(relax.op.nn.softmax, (4, 8)))


@pytest.mark.parametrize("way", WAYS)
def test_the_copy_is_the_same_model(way, model, tmp_path):
    for each in (model, quake_tvm.load(model.export(tmp_path / "model.so"))):
        travelled = WAYS[way](each)
        assert travelled.description == model.description
        np.testing.assert_array_equal(travelled.run(X)[0], model.run(X)[0])


def test_an_unpickled_model_takes_its_folder_along(model):
    copied = pickle.loads(pickle.dumps(model))
    folder = copied.folder.path
    assert folder.is_dir()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del copied
        gc.collect()
    assert not folder.exists()
    assert [str(w.message) for w in warned] == []


def test_the_end_of_a_forked_child_leaves_the_folder(model, tmp_path):
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    code = (
        "import os, pickle; model = pickle.load(open('model.pickle', 'rb'))\n"
        "if child := os.fork(): os.waitpid(child, 0); pickle.dumps(model)"
    )
    subprocess.run(python(code), cwd=tmp_path, check=True)


def test_another_process_reads_it(model, tmp_path):
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "x.npy", X)
    code = (
        "import pickle, sys, numpy as np; x = np.load('x.npy'); "
        "np.save('y.npy', pickle.load(open('model.pickle', 'rb')).run(x)[0])"
    )
    subprocess.run(python(code), cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model.run(X)[0])


def test_a_library_that_is_gone_or_another(model, tmp_path):
    path = model.export(tmp_path / "model.so")
    loaded = quake_tvm.load(path)
    path.unlink()
    with pytest.raises(QuakeError, match=r"model\.so, which the model was loaded from, is gone"):
        pickle.dumps(loaded)
    quake_tvm.compile(module(relax.op.tanh, (4, 8))).export(path)
    with pytest.raises(QuakeError, match="not the file any more"):
        loaded.export(tmp_path / "copy.so")
    assert not (tmp_path / "copy.so").exists()
    np.testing.assert_array_equal(loaded.run(X)[0], model.run(X)[0])


def test_what_it_says_of_itself(model):
    tensors = "(x0: float32[4, 8]) -> (output_0: float32[4, 8])"
    assert repr(model) == f"<quake_tvm.Model {tensors}, {DEFAULT_METHOD}, 1 site lowered>"
    dynamic = quake_tvm.compile(
        module(relax.op.nn.softmax, (tir.Var("n", "int64"), 8)), max_error=1e-3
    )
    assert "[n, 8]), max_error=0.001," in repr(dynamic)
