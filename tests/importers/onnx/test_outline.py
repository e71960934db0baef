"""Models whose large weights stay in their files are the same models."""

import ml_dtypes
import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper

from quake_tvm import QuakeError
from quake_tvm.importers.onnx import file
from quake_tvm.importers.onnx import module as onnx_import
from quake_tvm.importers.onnx.external import array
from quake_tvm.importers.onnx.tensors import is_external

from .models import constant, make, node, ramp

NUMBERS = np.random.default_rng(0).integers(-8, 8, (300, 512))
LARGE = {
    "float": NUMBERS.astype(np.float32),
    "half": NUMBERS.astype(np.float16),
    "brain": NUMBERS.astype(ml_dtypes.bfloat16),
    "four": NUMBERS.astype(ml_dtypes.int4),
    "long": NUMBERS,
    "flag": NUMBERS > 0,
}


def model():
    """Large weights of several types between small ones, and one in a node."""
    constants = [constant(ramp(3), "first")]
    constants += [constant(value, name) for name, value in LARGE.items()]
    listed = helper.make_tensor("listed", TensorProto.FLOAT, [100, 300], ramp(30000).tolist())
    constants += [listed, constant(ramp(512), "last")]
    nodes = [
        node("MatMul", ["x", "float"], ["m"]),
        node("Constant", [], ["c"], value=constant(ramp(1, 20000))),
        node("ReduceMax", ["c"], ["t"]),
        node("Add", ["m", "last"], ["a"]),
        node("Mul", ["a", "t"], ["y"]),
    ]
    return make(nodes, {"x": ["n", 300]}, {"y": ["n", 512]}, constants, opset=17)


@pytest.fixture(scope="module", params=["inside", "outside"])
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("outline") / "model.onnx"
    elsewhere = {"save_as_external_data": True, "location": "weights", "size_threshold": 0}
    options = elsewhere if request.param == "outside" else {}
    onnx.save(model(), path, **options, convert_attribute=bool(options))
    return path


def test_the_values_are_those_of_the_whole_model(path):
    whole, opened = file.read(path), file.opened(path)
    pairs = list(zip(whole.graph.initializer, opened.graph.initializer, strict=True))
    assert {b.name for _, b in pairs if is_external(b)} >= LARGE.keys()
    assert not any(is_external(a) for a, _ in pairs)
    for a, b in pairs:
        assert (a.name, a.data_type, a.dims) == (b.name, b.data_type, b.dims)
        assert array(a).dtype == array(b).dtype
        np.testing.assert_array_equal(array(a), array(b))
    del whole.graph.initializer[:], opened.graph.initializer[:]
    assert whole == opened


def test_the_import_is_that_of_the_whole_model(path):
    whole, opened = (onnx_import.to_relax(m) for m in (file.read(path), file.opened(path)))
    tvm.ir.assert_structural_equal(opened, whole, map_free_vars=True)


def test_files_that_are_cut_off_are_refused(tmp_path):
    content = model().SerializeToString()
    for place in range(1, len(content), len(content) // 20):
        path = tmp_path / "model.onnx"
        path.write_bytes(content[:place])
        with pytest.raises(QuakeError, match=r"is not a valid ONNX model: "):
            file.opened(path)


def test_lengths_are_those_that_the_shapes_say(tmp_path):
    wrong = model()
    wrong.graph.initializer[1].dims[0] = 299
    onnx.save(wrong, tmp_path / "model.onnx")
    for read in (file.read, file.opened):
        with pytest.raises(QuakeError, match=r"'float' is float\[299, 512\], .* file has 614400"):
            read(tmp_path / "model.onnx")


def test_a_file_that_has_changed(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(model(), path)
    opened = file.opened(path)
    path.write_bytes(b"")
    with pytest.raises(QuakeError, match="has 0 bytes, the tensor 'float' needs "):
        onnx_import.to_relax(opened)


def test_weights_without_a_path_are_refused(tmp_path):
    onnx.save(model(), tmp_path / "model.onnx", save_as_external_data=True, location="weights")
    with pytest.raises(QuakeError, match="'float' are in another file: give the model's path"):
        file.sound(onnx.load(tmp_path / "model.onnx", load_external_data=False))
