"""The table of published models: one build for any size beside others."""

import onnx
import pytest
from onnx import parser

import any_size
from any_size_models import Published


def test_row_of_each_input(tmp_path):
    path = tmp_path / "model.onnx"
    graph = '<ir_version: 10, opset_import: ["": 21]> m (float[n, 4] x) => (float[n, 4] y)'
    onnx.save(parser.parse_model(f"{graph} {{ y = Relu(x) }}"), path)
    published = Published(lambda: path, [{"x": (2, 4)}, {"x": (3, 4)}])
    rows = [line.strip("| ").split(" | ") for line in any_size.lines("relu", published, 1)]
    assert [row[:2] for row in rows] == [["relu", "2x4"], ["relu", "3x4"]]
    for row in rows:
        ours, static, other = map(float, row[2:5])
        assert min(ours, static, other) > 0
        assert row[-1] == "yes"


def test_unknown_model(capsys):
    with pytest.raises(SystemExit):
        any_size.main(["MiniLM"])
    assert "no model 'MiniLM'; there are MiniLM-L3, " in capsys.readouterr().err
