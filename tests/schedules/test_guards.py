"""Kernels of dynamic length whose elements come from several sources."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from tests.onnx_models import node

PADS = (2, 3)


@pytest.fixture(scope="module")
def moving():
    """Pads, a concatenation and a triangle over a dynamic last axis."""
    pads = np.array([0, PADS[0], 0, PADS[1]])
    outputs = ["reflected", "repeated", "padded", "joined", "joined3", "triangle"]
    nodes = [
        node("Pad", "x pads", "reflected", mode="reflect"),
        node("Pad", "x pads", "repeated", mode="edge"),
        node("Pad", "x pads", "padded"),
        node("Concat", "x z", "joined", axis=1),
        node("Concat", "z x z", "joined3", axis=1),
        node("Trilu", "x", "triangle", upper=1),
    ]
    graph = helper.make_graph(
        nodes,
        "moving",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ("rows", "n")),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, ("rows", "m")),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(pads, "pads")],
    )
    return quake_tvm.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


@pytest.mark.parametrize("m", [1, 5, 8, 17])
def test_each_element_is_the_right_one(moving, m):
    for n in range(4, 41):
        x = np.arange(3 * n, dtype=np.float32).reshape(3, n)
        z = -np.arange(3 * m, dtype=np.float32).reshape(3, m) - 1
        wanted = [
            *(np.pad(x, [(0, 0), PADS], mode) for mode in ("reflect", "edge", "constant")),
            np.hstack([x, z]),
            np.hstack([z, x, z]),
            np.triu(x),
        ]
        for got, want in zip(moving.run({"x": x, "z": z}), wanted, strict=True):
            np.testing.assert_array_equal(got, want)
