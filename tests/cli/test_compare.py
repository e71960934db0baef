"""``quake-tvm compare``: which rung is recommended, and what is printed."""

import json

import onnx
import pytest
from onnx import TensorProto, helper

from quake_tvm.bench.cases import Case
from quake_tvm.bench.compare import Result, Row
from quake_tvm.cli.compare import recommended, verdict
from quake_tvm.importers.onnx.external import bytes_on_disk
from quake_tvm.support.timing import Spread
from tests.shell import quake
from tests.test_compiler import mlp


def result(**milliseconds):
    names = {"onnx_runtime": "ONNX Runtime", "openvino": "OpenVINO"}
    rows = [
        Row(names.get(name, name), None, Spread(ms / 1e3, 0, 0), 0.0, None, [ms / 1e3])
        for name, ms in milliseconds.items()
    ]
    return Result(Case("model", "", None), rows)


@pytest.mark.parametrize(
    ("milliseconds", "best"),
    [
        ({"quake1": 1.0, "quake2": 1.0, "quake5": 1.01, "exact": 1.3}, "quake5"),
        ({"quake1": 1.0, "quake3": 1.04, "quake5": 1.1, "exact": 1.3}, "quake3"),
        ({"quake1": 1.0, "quake5": 1.0, "exact": 1.0, "onnx_runtime": 0.1}, "exact"),
    ],
)
def test_the_most_accurate_rung_that_costs_no_time(milliseconds, best):
    assert recommended(result(**milliseconds)).contender == best


def test_the_verdict_names_the_fastest_other_runtime():
    rows = result(quake4=2.0, onnx_runtime=4.0, openvino=3.2)
    said = verdict(rows, recommended(rows))
    assert said == 'Take method="quake4": 0.62 of the time of OpenVINO.'
    alone = result(quake4=2.0)
    assert verdict(alone, alone.rows[0]) == 'Take method="quake4": 2 ms a call.'


def test_the_command(tmp_path):
    path = tmp_path / "mlp.onnx"
    onnx.save(mlp(), path)
    options = "--shape", "x=4,8", "--rounds", "2"
    said = quake("compare", path, *options)
    assert said.returncode == 0, said.stderr
    assert "Take method=" in said.stdout
    assert "threads: 1, CPU time" in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 80
    facts = json.loads(quake("compare", path, *options, "--json").stdout)
    assert {c["contender"] for c in facts["contenders"]} >= {"quake1", "quake5", "exact"}
    assert facts["bytes"]["library"] > 0
    assert facts["bytes"]["model"] == path.stat().st_size
    assert facts["clock"] == "CPU"
    assert facts["sizes"] == {"n": 4}
    assert "n = 4" in said.stdout.splitlines()


def test_missing_sizes_are_named_and_shown_as_options(tmp_path):
    path = tmp_path / "m.onnx"
    shapes = {"ids": ["batch", "length"], "mask": ["batch", "length"], "x": ["other", 4]}
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    nodes = [helper.make_node("Sum", list(shapes), ["y"])]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    refused = quake("compare", path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "(batch, length, other)" in refused.stderr
    assert refused.stderr.endswith("as --shape ids=1,128 --shape x=1,4\n")


def test_data_in_other_files_count(tmp_path):
    path, data = tmp_path / "mlp.onnx", tmp_path / "mlp.data"
    onnx.save(mlp(), path, save_as_external_data=True, location=data.name, size_threshold=0)
    assert bytes_on_disk(path) == path.stat().st_size + data.stat().st_size
