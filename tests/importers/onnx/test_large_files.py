"""A model above 2 GB, the most that a file without external data can hold."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

WIDTH, LAYERS = 4096, 33
_COMPILE = """
import resource, sys
import numpy as np
import quake_tvm
model = quake_tvm.compile(sys.argv[1], method="exact")
np.save(sys.argv[2], model.run([np.full((2, {width}), 0.5, np.float32)])[0])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def layers(folder: Path) -> np.ndarray:
    """Write a model of products and tanh with 2.2 GB of weights; returns its result in float64."""
    graph, rng = onnx.GraphProto(name="layers"), np.random.default_rng(0)
    y = np.full((2, WIDTH), 0.5)
    with open(folder / "weights", "wb") as file:
        for k in range(LAYERS):
            weight = (rng.random((WIDTH, WIDTH), np.float32) - np.float32(0.5)) / 16
            tensor = TensorProto(name=f"w{k}", data_type=TensorProto.FLOAT, dims=weight.shape)
            tensor.data_location = TensorProto.EXTERNAL
            place = {"location": "weights", "offset": file.tell(), "length": weight.nbytes}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            file.write(weight)
            graph.initializer.append(tensor)
            graph.node.append(helper.make_node("MatMul", [f"x{k}", f"w{k}"], [f"m{k}"]))
            graph.node.append(helper.make_node("Tanh", [f"m{k}"], [f"x{k + 1}"]))
            y = np.tanh(y @ weight.astype(np.float64))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, WIDTH])
        for name in ("x0", f"x{LAYERS}")
    ]
    graph.input.append(ends[0])
    graph.output.append(ends[1])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx")
    return y


@pytest.mark.sweep
def test_memory_of_a_large_file():
    with tempfile.TemporaryDirectory() as place:  # pytest would keep the weights
        folder = Path(place)
        wanted = layers(folder)
        arguments = [str(folder / "model.onnx"), str(folder / "y.npy")]
        command = [sys.executable, "-c", _COMPILE.format(width=WIDTH), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        size = (folder / "weights").stat().st_size
        assert size > 2**31
        assert int(done.stdout) < 2.5 * size
        np.testing.assert_allclose(np.load(folder / "y.npy"), wanted, 1e-3, 1e-4)
