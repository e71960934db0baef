"""Norms and convolutions of symbolic extents that their weights make known."""

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

import quake_tvm

from .models import constant, make, node, ramp

WEIGHTS = {
    "channels": ramp(4) + 3,
    "row": ramp(5),
    "rows": ramp(3, 5),
    "depthwise": ramp(4, 1, 2, 2),
    "up": ramp(4, 2, 2, 2),
}
NODES = [
    node("BatchNormalization", ["x", "channels", "channels", "channels", "channels"], ["batch"]),
    node("LayerNormalization", ["x", "row", "row"], ["layer"]),
    node("LayerNormalization", ["x", "rows"], ["layers"], axis=2),
    node("RMSNormalization", ["x", "row"], ["rms"]),
    node("Conv", ["x", "depthwise"], ["conv"], group=4),
    node("ConvTranspose", ["x", "up"], ["transposed"]),
]


def test_known_by_the_weights():
    constants = [constant(w, name) for name, w in WEIGHTS.items()]
    outputs = {name: None for n in NODES for name in n.output}
    model = make(NODES, {"x": ["a", "b", "c", "d"]}, outputs, constants, opset=23)
    x = ramp(2, 4, 3, 5)
    compiled = quake_tvm.compile(model, method="exact")
    for got, wanted in zip(
        compiled.run(x), ReferenceEvaluator(model).run(None, {"x": x}), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(quake_tvm.QuakeError, match="sizes of input and weights differ"):
        compiled.run(ramp(2, 4, 3, 6))


@pytest.mark.parametrize("turned", [0, 1])
def test_rows_of_a_product_known_by_its_summand(turned):
    nodes = [node("Gemm", ["x", "w", "c"], ["z"], transA=turned), node("Softmax", ["z"], ["y"])]
    constants = [constant(ramp(4, 2), "w"), constant(ramp(3, 1), "c")]
    model = make(nodes, {"x": ["k", "n"] if turned else ["n", "k"]}, {"y": None}, constants)
    x = ramp(4, 3) if turned else ramp(3, 4)
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x})
    (got,) = quake_tvm.compile(model, method="exact").run(x)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
