"""The page of special values: ``python -m quake_tvm.accuracy.special_values``.

Runs the cases of :mod:`special_cases` on ``exact`` and a rung, in ONNX Runtime and in PyTorch, and
writes their results side by side.
"""

from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..compiler import compile
from ..generated_page import write_section
from .special_cases import CASES, CONSTANTS, INPUTS, Case

PAGE = Path(__file__).parents[2] / "docs" / "special_values.md"
RUNG = "quake3"
Results = dict[str, np.ndarray]


def model(cases: list[Case] = CASES) -> onnx.ModelProto:
    """All cases as one model with an output each."""
    nodes, outputs = [], []
    for number, case in enumerate(cases):
        for step, (operator, inputs, attributes) in enumerate(case.nodes):
            at = [f"{number}.{step - 1 - int(n[1:] or 0)}" if n[0] == "_" else n for n in inputs.split()]
            nodes.append(helper.make_node(operator, at, [f"{number}.{step}"], **attributes))
        outputs.append(helper.make_tensor_value_info(nodes[-1].output[0], 0, None))
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in INPUTS.items()]
    constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in CONSTANTS.items()]
    graph = helper.make_graph(nodes, "special values", given, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return onnx.shape_inference.infer_shapes(made)


def _flat(results: list[np.ndarray], cases: list[Case]) -> Results:
    return {c.name: np.asarray(y, dtype="float32").ravel() for c, y in zip(cases, results, strict=True)}


def ours(method: str, cases: list[Case] = CASES) -> Results:
    """What the library gives."""
    return _flat(compile(model(cases), method=method).run(INPUTS), cases)


def onnxruntime(cases: list[Case] = CASES) -> Results:
    """What ONNX Runtime gives."""
    import onnxruntime as ort

    session = ort.InferenceSession(model(cases).SerializeToString())
    return _flat(session.run(None, INPUTS), cases)


def torch(cases: list[Case] = CASES) -> Results:
    """What PyTorch gives, where it has the operator."""
    import torch as t

    values = {k: t.tensor(v) for k, v in (INPUTS | CONSTANTS).items()}
    having = [case for case in cases if case.torch is not None]
    return _flat([case.torch(t, t.nn.functional, values).numpy() for case in having], having)


def differs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two results are not the same value: signs of zeros count, NaN is NaN.

    A rung's error does not, up to 1 % of a normal number.
    """
    close = np.isclose(a, b, rtol=1e-2, atol=0, equal_nan=True)
    return ~close | ((a == 0) & (np.signbit(a) != np.signbit(b)))
