"""ONNX files that are read or refused, and the shapes of their inputs."""

import os
import zipfile
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnx
import pytest

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx import module as onnx_import
from quake_tvm.importers.onnx.converters import CONVERTERS
from quake_tvm.importers.onnx.file import opened, read
from quake_tvm.runtime.extent_limits import ExtentLimits

from .models import (
    compare,
    constant,
    exp,
    make,
    node,
    ramp,
    two_inputs,
    value,
)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (None, ("batch", "length", 3)),
        ({}, ("batch", "length", 3)),
        ({"x": (2, 5, 3)}, (2, 5, 3)),
    ],
    ids=["none", "empty", "static"],
)
def test_shapes_of_dynamic_inputs(shapes, expected):
    compiled = compare(exp(["batch", "length", 3]), ramp(2, 5, 3), shapes=shapes)
    assert compiled.inputs[0].shape == expected


def test_a_named_dimension_is_one_in_all_inputs():
    compiled = compare(two_inputs(), ramp(3, 4), ramp(3, 4), shapes={"x": (3, 4)})
    assert [i.shape for i in compiled.inputs] == [(3, 4), (3, 4)]
    with pytest.raises(QuakeError, match=r"shape \(5, 4\) does not fit input 'y' \(3, 4\)"):
        quake_tvm.compile(two_inputs(), shapes={"x": (3, 4), "y": (5, 4)})


def test_some_inputs_static_others_dynamic():
    nodes = [node("Exp", ["x"], ["u"]), node("Tanh", ["y"], ["v"])]
    model = make(nodes, {"x": ["n", 3], "y": ["m"]}, {"u": None, "v": None})
    compiled = compare(model, ramp(2, 3), ramp(5), shapes={"x": (2, 3)})
    assert [i.shape for i in compiled.inputs] == [(2, 3), ("m",)]


def test_dimensions_without_a_name_are_not_one():
    for shape in ([None, None], ["?", "?"], ["None", "None"], ["-1", "-1"]):
        compiled = compare(exp(shape), ramp(2, 3))
        assert len(set(compiled.inputs[0].shape)) == 2


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)], ids=str)
def test_static_empty_inputs(shape):
    compiled = compare(exp(shape), ramp(*shape))
    assert compiled.inputs[0].shape == shape


def test_numbers_that_stand_for_any():
    assert compare(exp([-1, 3]), ramp(2, 3)).inputs[0].shape == ("x_0", 3)
    assert compare(exp([-1, 3]), ramp(2, 3), shapes={"x": (2, 3)}).inputs[0].shape == (2, 3)
    assert compare(exp([0, 3]), ramp(2, 3), shapes={"x": (2, 3)}).inputs[0].shape == (2, 3)
    old = exp([0, 3])
    old.ir_version = 3
    assert compare(old, ramp(2, 3)).inputs[0].shape == ("x_0", 3)


def test_names_of_dimensions_that_mean_nothing_else():
    nodes = [node("Concat", ["x", "z"], ["y"], axis=0)]
    shapes = {"x": ["batch-size", "日本"], "z": ["2*N", "日本"]}
    compiled = compare(make(nodes, shapes, {"y": None}), ramp(2, 3), ramp(5, 3))
    assert [i.shape for i in compiled.inputs] == [("batch_size", "__"), ("d_2_N", "__")]


@pytest.mark.parametrize(
    "shapes", [(2, 3), {"x": 2}, {"x": (2.5, 3)}, {"x": "23"}, [("x", (2, 3))]], ids=str
)
def test_shapes_are_a_mapping(shapes):
    with pytest.raises(QuakeError, match=r"as (shapes=\{'x': )?\(1, 128\)"):
        quake_tvm.compile(exp(["n", 3]), shapes=shapes)


def test_an_unknown_rank_needs_a_shape():
    with pytest.raises(QuakeError, match="does not say input 'x'"):
        quake_tvm.compile(exp(None))
    assert compare(exp(None), ramp(2, 3), shapes={"x": (2, 3)}).inputs[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (2, 3)}, "no input 'z'; (its|the) inputs: x"),
        ({"x": (2,)}, r"shape \(2,\) does not fit input 'x' \((\?|n), 3\)"),
        ({"x": (2, 4)}, r"shape \(2, 4\) does not fit input 'x' \((\?|n), 3\)"),
        ({"x": (-1, 3)}, r"shape \(-1, 3\) of 'x' has a negative size"),
    ],
    ids=["name", "rank", "size", "negative"],
)
@pytest.mark.parametrize("source", ["onnx", "relax"])
def test_wrong_shapes(source, shapes, message):
    model = exp(["n", 3])
    if source == "relax":
        model = onnx_import.to_relax(model)
    with pytest.raises(QuakeError, match=message):
        quake_tvm.compile(model, shapes=shapes)


def two_lengths():
    nodes = [node("Add", ["x", "y"], ["s"]), node("Exp", ["s"], ["z"])]
    return make(nodes, {"x": ["n", 3], "y": ["m", 3]}, {"z": None})


def test_extents_of_two_names_must_be_equal():
    compiled = compare(two_lengths(), ramp(2, 3), ramp(2, 3))
    with pytest.raises(QuakeError, match="Add: the sizes of the operands differ"):
        compiled.run([ramp(1, 3), ramp(2, 3)])
    compare(two_lengths(), ramp(1, 3), ramp(2, 3), shapes={"x": (1, 3), "y": (2, 3)})


def test_dynamic_models_that_tvm_cannot_compile_ask_for_shapes(monkeypatch):
    monkeypatch.delitem(CONVERTERS, "Hardmax")  # TVM's own needs rows of known length
    model = make([node("Hardmax", ["x"], ["z"])], {"x": [2, "n"]}, {"z": None}, opset=18)
    with pytest.raises(QuakeError, match=r"\(node 'z'\): [^\n]*; give shapes for: x=...$"):
        quake_tvm.compile(model)
    (z,) = quake_tvm.compile(model, shapes={"x": (2, 3)}).run(ramp(2, 3))
    np.testing.assert_array_equal(z, [[0, 0, 1]] * 2)


@pytest.mark.parametrize("name", ["input.1", "0", "x:0", "onnx::Exp_1", "a/b c"])
def test_inputs_keep_their_names(name):
    model = quake_tvm.compile(exp([2, 3], name), shapes={name: (2, 3)})
    assert [i.name for i in model.inputs] == [name]
    assert model.run({name: ramp(2, 3)})[0].shape == (2, 3)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", exp([2]).SerializeToString()[:20], onnx.ModelProto().SerializeToString()],
    ids=["empty", "text", "cut", "blank"],
)
def test_invalid_files(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(QuakeError, match=r"is not a valid ONNX model: [^\n]*$"):
        quake_tvm.compile(path)


def test_an_operator_that_onnx_does_not_have(tmp_path):
    model = exp([2])
    model.graph.node[0].op_type = "Exp2"
    model.graph.node[0].name = "first"
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(QuakeError, match=r"has no operator Exp2 \(node 'first'\); a newer onnx"):
        quake_tvm.compile(path)


@pytest.mark.parametrize("reader", [read, opened])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not a model", "in the format of ONNX files"),
        (exp([2]).SerializeToString()[:20], "it ends too early|it is cut off"),
    ],
    ids=["empty", "text", "cut"],
)
def test_what_is_wrong_with_a_file(tmp_path, reader, content, reason):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(QuakeError, match=reason):
        reader(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS: .* git lfs pull"),
        (b"<!DOCTYPE html><html>", "web page: download the file itself"),
        (b"\x1c\0\0\0TFL3" + bytes(64), "TensorFlow Lite model: convert it with tf2onnx"),
        (b"\x10\0\0\0ORTM" + bytes(64), "ONNX Runtime's own format: give the .onnx file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5 file, as Keras writes: export"),
        (b"GGUF\x03" + bytes(64), "GGUF file: export"),
        (b'\x40\0\0\0\0\0\0\0{"w":{}}', "safetensors, which has weights only: export"),
        (b"\x1f\x8b\x08" + bytes(64), "compressed: unpack it"),
        (bytes(64), "in the format of ONNX files.*; download or export it again$"),
        (exp([2]).SerializeToString()[:20], "; download or export it again$"),
    ],
    ids=["lfs", "page", "lite", "ort", "keras", "gguf", "safetensors", "gzip", "zeros", "cut"],
)
def test_what_a_file_is_instead_and_what_to_do(tmp_path, content, reason):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    for reader in (read, opened):
        with pytest.raises(QuakeError, match=f"is not a valid ONNX model: [^\\n]*{reason}"):
            reader(path)


def test_an_archive_of_a_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.onnx", "w") as archive:
        archive.writestr("model.onnx", exp([2]).SerializeToString())
    with pytest.raises(QuakeError, match="zip archive: unpack it"):
        opened(tmp_path / "model.onnx")


def test_a_file_without_permission(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(exp([2]).SerializeToString())
    path.chmod(0)
    if os.geteuid() == 0:  # who may read everything
        monkeypatch.setattr(
            Path, "open", Mock(side_effect=PermissionError(13, "Permission denied"))
        )
    with pytest.raises(QuakeError, match=r"^cannot read .*model.onnx: Permission denied$"):
        read(path)


def test_no_such_file(tmp_path):
    with pytest.raises(QuakeError, match="no such file"):
        quake_tvm.compile(tmp_path / "model.onnx")
    with pytest.raises(QuakeError, match=r"is a folder: give the \.onnx file in it$"):
        quake_tvm.compile(tmp_path)
    with pytest.raises(QuakeError, match=r"is a folder: give the \.so file in it$"):
        quake_tvm.load(tmp_path)


def test_weights_in_a_file_of_their_own(tmp_path):
    path = tmp_path / "model.onnx"
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Exp", ["h"], ["y"])]
    weights = ramp(64, 64) / 64
    model = make(nodes, {"x": [2, 64]}, {"y": [2, 64]}, [constant(weights, "w")])
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    result = quake_tvm.compile(str(path), method="exact").run(ramp(2, 64))[0]
    np.testing.assert_allclose(result, np.exp(ramp(2, 64) @ weights), 1e-5)
    blobs, links = tmp_path / "blobs", tmp_path / "snapshots" / "0a1b"  # as in caches of model hubs
    blobs.mkdir()
    links.mkdir(parents=True)
    for name, blob in (("model.onnx", "aa"), ("weights", "bb")):
        (blobs / blob).write_bytes((tmp_path / name).read_bytes())
        (links / name).symlink_to(f"../../blobs/{blob}")
    np.testing.assert_array_equal(
        quake_tvm.compile(links / "model.onnx", method="exact").run(ramp(2, 64))[0], result
    )
    (tmp_path / "weights").unlink()
    with pytest.raises(QuakeError, match=r"is not a valid ONNX model: .*weights"):
        quake_tvm.compile(path)


def shapes_of(model):
    return [i.shape for i in model.inputs]


def test_names_of_dimensions():
    for size in ("n", None, "?", 4):
        compiled = compare(exp([size, 3]), ramp(4, 3), shapes={"x": ("batch", 3)})
        assert shapes_of(compiled) == [("batch", 3)]
        np.testing.assert_allclose(compiled.run(ramp(7, 3))[0], np.exp(ramp(7, 3)), rtol=0.01)


def test_a_name_is_one_in_all_inputs():
    compiled = compare(two_inputs(), ramp(3, 4), ramp(3, 4), shapes={"x": ("batch", 4)})
    assert shapes_of(compiled) == [("batch", 4)] * 2
    static = make([node("Add", ["x", "y"], ["z"])], {"x": [2, 3], "y": [2, 3]}, {"z": [2, 3]})
    names = {"x": ("n", 3), "y": ("n", 3)}
    compiled = compare(static, ramp(5, 3), ramp(5, 3), shapes=names)
    with pytest.raises(QuakeError, match=r"'y' has 1 in dimension 'n' \(axis 0\).*'x' has as 5"):
        compiled.run(ramp(5, 3), ramp(1, 3))
    with pytest.raises(QuakeError, match=r"\('m', 4\) does not fit input 'y' \(n, 4\)"):
        quake_tvm.compile(two_inputs(), shapes={"x": ("n", 4), "y": ("m", 4)})


def test_names_can_be_exchanged():
    nodes = [node("Exp", ["x"], ["u"]), node("Tanh", ["y"], ["v"])]
    model = make(nodes, {"x": ["a", "b"], "y": ["b"]}, {"u": None, "v": None})
    compiled = compare(model, ramp(2, 3), ramp(3), shapes={"x": ("b", "a")})
    assert shapes_of(compiled) == [("b", "a"), ("a",)]


def test_sums_of_names_follow_them():
    nodes = [node("Concat", ["x", "z"], ["s"], axis=0), node("Add", ["s", "t"], ["y"])]
    model = make(nodes, {"x": ["past"], "z": ["new"], "t": ["past + new"]}, {"y": None})
    for shapes in (None, {"x": ("old",)}, {"x": (2,)}, {"x": ("old",), "z": (5,)}):
        compare(model, ramp(2), ramp(5), ramp(7), shapes=shapes)


def test_stated_shapes_are_forgotten_where_names_make_them_wrong():
    nodes = [node("Exp", ["x"], ["e"]), node("Tanh", ["e"], ["y"])]
    model = make(nodes, {"x": [2, 3]}, {"y": [2, 3]})
    model.graph.value_info.append(value("e", [2, 3]))
    compare(model, ramp(5, 3), shapes={"x": ("n", 3)})


def test_constant_shapes_in_a_model_stay():
    model = make(
        [node("Reshape", ["x", "s"], ["y"])],
        {"x": [2, 6]},
        {"y": None},
        [constant(np.array([3, 4]), "s")],
    )
    compiled = compare(model, ramp(2, 6), shapes={"x": ("n", 6)})
    with pytest.raises(QuakeError, match=r"Reshape: .*does not have as many elements") as error:
        compiled.run(ramp(5, 6))
    assert "\n" not in str(error.value)


def test_ranges():
    compiled = quake_tvm.compile(
        exp(["n", "m"]), shapes={"x": ("batch", "m")}, ranges={"batch": (2, 4), "m": (3, 3)}
    )
    assert shapes_of(compiled) == [("batch", 3)]
    assert compiled.ranges == {"batch": (2, 4)}
    with pytest.raises(QuakeError, match=r"dimension 'n'; the dimensions: batch, m$"):
        quake_tvm.compile(exp(["n", "m"]), shapes={"x": ("batch", "m")}, ranges={"n": (2, 4)})
    with pytest.raises(QuakeError, match="the dimensions: none, since all sizes are static"):
        quake_tvm.compile(exp([2, 3]), ranges={"n": (2, 4)})


def test_ranges_prove_conditions():
    """A table of 8 rows limits a length. A range within the table needs no check of its own."""
    rows = constant(ramp(8, 3), "table")
    nodes = [
        node("Shape", ["x"], ["size"]),
        node("Slice", ["table", "zero", "size"], ["rows"]),
        node("Add", ["rows", "x3"], ["y"]),
    ]
    model = make(
        nodes,
        {"x": ["length"], "x3": ["length", 3]},
        {"y": None},
        [rows, constant(np.array([0]), "zero")],
    )
    states = [onnx_import.to_relax(model, {}, ranges) for ranges in ({}, {"length": (1, 8)})]
    found = [ExtentLimits.of(mod["main"]).conditions for mod in states]
    assert found == [("length <= 8",), ()]


def test_two_values_of_one_name_are_refused():
    again = [node("Exp", ["x"], ["y"]), node("Neg", ["x"], ["w"]), node("Add", ["y", "w"], ["z"])]
    model = make(again, {"x": [3]}, {"z": None}, [constant(ramp(3), "w")])
    with pytest.raises(QuakeError, match=r"two values are named 'w' \(the node of 'w'\)"):
        quake_tvm.compile(model)
    constants = [constant(ramp(3) + k, "w") for k in range(2)]
    model = make([node("Add", ["x", "w"], ["z"])], {"x": [3]}, {"z": None}, constants)
    with pytest.raises(QuakeError, match="two constants are named 'w'"):
        quake_tvm.compile(model)


def test_constants_of_old_files_that_fold():
    """Constants are inputs there. onnx infers a wrong shape if it does not know computed axes."""
    given = {"s": [0, -2, 1], "e": [1, -(2**63), 3], "a": np.int32([2, 0, 1])}
    constants = [constant(np.array(values), name) for name, values in given.items()]
    nodes = [
        node("Identity", ["s"], ["starts"]),
        node("Cast", ["a"], ["axes"], to=onnx.TensorProto.INT64),
        node("Constant", [], ["steps"], value_ints=[1, -2, 1]),
        node("Slice", ["x", "starts", "e", "axes", "steps"], ["y"]),
    ]
    model = make(nodes, {"x": [4, 3, 5]}, {"y": None}, constants)
    model.ir_version = 3
    model.graph.input.extend(value(c.name, c.dims, c.data_type) for c in constants)
    x = ramp(4, 3, 5)
    compiled = quake_tvm.compile(model, method="exact")
    np.testing.assert_array_equal(compiled.run(x)[0], x[2::-2, 1:3, :1])
    assert [i.name for i in compiled.inputs] == ["x"]
