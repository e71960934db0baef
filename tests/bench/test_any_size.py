"""The program that measures compile times for any size: its table for one model."""

import onnx
from onnx import TensorProto, helper

from quake_tvm.bench import any_size


def test_page_has_table_and_command(tmp_path):
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", "m"]) for n in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Tanh", ["x"], ["y"])], "net", tensors[:1], tensors[1:]
    )
    onnx.save(helper.make_model(graph, ir_version=9), tmp_path / "net.onnx")
    page = tmp_path / "page.md"
    page.write_text("<!-- models: written -->\n<!-- end of models -->\n")
    model = f"{tmp_path / 'net.onnx'}:7"
    any_size.main([model, "--rounds", "1", "--page", str(page)])
    text = page.read_text()
    assert "any_size net.onnx:7 --rounds 1`" in text
    (line,) = [each for each in text.splitlines() if each.startswith("| net |")]
    _, _, shape, one, many, ratio, _ = line.split("|")
    assert shape.strip() == "1x7"
    assert min(map(float, (one, many, ratio))) > 0
