"""Tensors whose data does not match their declaration, in the file and in external data."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm import QuakeError
from tests.onnx_models import node

WEIGHTS = np.ones((4, 3), np.float32)


def model(tensor=None):
    graph = helper.make_graph(
        [node("MatMul", "x w", "y")],
        "tensors",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3))],
        [tensor or numpy_helper.from_array(WEIGHTS, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def changed(**fields):
    tensor = numpy_helper.from_array(WEIGHTS, "w")
    for name, value in fields.items():
        if isinstance(value, list):
            del getattr(tensor, name)[:]
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return tensor


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (changed(dims=[5, 3]), r"'w' is float\[5, 3\], 60 bytes, but the file has 48"),
        (changed(dims=[-4, 3]), "'w' has a negative extent"),
        (changed(dims=[2**62, 2**62]), "but the file has 48"),
        (changed(raw_data=b"\xff" * 49), "but the file has 49"),
        (changed(raw_data=b""), "but the file has 0"),
        (changed(data_type=TensorProto.INT64), "96 bytes, but the file has 48"),
        (changed(data_type=99), "type 99, which does not exist"),
        (changed(data_type=0), "type 0, which does not exist"),
        (changed(float_data=[1.0]), "has its data in raw_data and float_data"),
        (
            TensorProto(name="w", data_type=1, dims=[4, 3], float_data=[1.0]),
            "12 elements, but the file has 1",
        ),
        (TensorProto(name="w", data_type=1, dims=[4, 3], int64_data=[1]), "data in int64_data"),
    ],
    ids=["dims", "negative", "huge", "more", "none", "dtype", "unknown", "no", "two", "few", "odd"],
)
def test_what_a_tensor_says_is_so(tensor, message):
    with pytest.raises(QuakeError, match=message):
        quake_tvm.compile(model(tensor))


def test_types_that_tvm_cannot_hold():
    weights = helper.make_tensor("w", TensorProto.INT4, [4, 3], [1] * 12)
    with pytest.raises(QuakeError, match="MatMul reads 'w' of type int4"):
        quake_tvm.compile(model(weights))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../weights"}, "outside of the model's folder"),
        ({"location": "/etc/passwd"}, "outside of the model's folder"),
        ({"location": "away"}, "outside of the model's folder"),
        ({"location": ""}, "outside of the model's folder"),
        ({"location": "a\nb"}, "which is no name of a file"),
        ({"location": "fifo"}, "is no file"),
        ({"location": "here", "offset": "8"}, "has 48 bytes, the tensor 'w' needs 56"),
        ({"location": "here", "offset": "-8"}, "offset '-8', which is no number"),
        ({"location": "here", "length": "12"}, "takes 48 bytes, but the file gives it 12"),
    ],
    ids=["up", "absolute", "link", "none", "lines", "fifo", "short", "negative", "length"],
)
def test_places_outside_of_the_model(tmp_path, entries, message):
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (folder / "here", tmp_path / "weights"):
        place.write_bytes(WEIGHTS.tobytes())
    os.mkfifo(folder / "fifo")
    (folder / "away").symlink_to("../weights")
    tensor = TensorProto(name="w", data_type=1, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(model(tensor).SerializeToString())
    with pytest.raises(QuakeError, match=message):
        quake_tvm.compile(path)


def test_a_graph_without_outputs(tmp_path):
    none = model()
    del none.graph.output[:]
    onnx.save(none, tmp_path / "none.onnx")
    for source in (none, tmp_path / "none.onnx"):
        with pytest.raises(QuakeError, match="no outputs"):
            quake_tvm.compile(source)
