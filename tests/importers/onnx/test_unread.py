"""Nodes that no output depends on: they may be of operators that cannot be imported."""

import numpy as np
import onnx

import quake_tvm
from quake_tvm.importers.onnx.examine import TAKEN, Finding, examine
from quake_tvm.importers.onnx.unread import without_unread

from .models import kinds, make, node, operators, ramp


def test_they_are_left_out():
    nodes = [
        node("Det", ["x"], ["a"]),
        node("Strange", ["a"], ["b"], domain="acme"),
        node("Exp", ["x"], ["y"]),
        node("Neg", ["y"], ["c"]),
    ]
    model = make(nodes, {"x": [3, 3]}, {"y": None}, domains=["acme"])
    assert operators(model) == ["relax.exp"]
    findings, _ = examine(model)
    assert findings == [Finding("Exp", TAKEN, 1)]
    assert kinds(model) == ["Det", "Strange", "Exp", "Neg"]  # the model given stays as it is


def test_a_node_of_which_one_output_is_read_stays():
    nodes = [node("Split", ["x"], ["", "y"], num_outputs=2)]
    model = make(nodes, {"x": [4]}, {"y": [2]}, opset=18)
    assert kinds(without_unread(model)) == ["Split"]


def test_branches():
    """A value that only a branch reads is computed; what the branch does not return is not."""
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["": 18]>
        g (float[3, 3] x, bool c) => (float[3, 3] y) {
            e = Exp (x)
            y = If (c) <
                then_branch = t () => (float[3, 3] p) { d = Det (e) p = Neg (e) },
                else_branch = f () => (float[3, 3] q) { q = Identity (x) }>
        }""")
    compiled = quake_tvm.compile(model, method="exact")
    x = ramp(3, 3)
    for condition, wanted in ((True, -np.exp(x)), (False, x)):
        (got,) = compiled.run(x, np.array(condition))
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
