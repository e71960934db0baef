"""Single ONNX nodes, many in one model, compared with ONNX Runtime."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import quake_tvm

onnxruntime.set_default_logger_severity(4)


def values(*shape, dtype="float32"):
    """Random values, the same for the same shape."""
    made = np.random.default_rng(sum(shape)).normal(size=shape)
    return made.astype(dtype) if np.dtype(dtype).kind == "f" else (made * 40).astype(dtype)


def ints(*numbers):
    return np.array(numbers, np.int64)


@dataclass(frozen=True)
class Case:
    """A node of one output. Inputs come first, then constants (None if omitted)."""

    operator: str
    opset: int
    inputs: Sequence[np.ndarray]
    constants: Sequence[Any] = ()
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shapes = [x.shape for x in self.inputs]
        constants = [None if c is None else np.asarray(c).tolist() for c in self.constants]
        return f"{self.operator}-{self.opset} {shapes} {constants} {self.attributes}"


def model(cases: Sequence[Case]) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """One model of all nodes, which have the same opset, and its inputs."""
    nodes, inputs, constants, feeds = [], [], [], {}
    for k, case in enumerate(cases):
        names = []
        for j, x in enumerate(case.inputs):
            names.append(f"x{k}_{j}")
            feeds[names[-1]] = x
            kind = helper.np_dtype_to_tensor_dtype(x.dtype)
            inputs.append(helper.make_tensor_value_info(names[-1], kind, x.shape))
        for j, c in enumerate(case.constants):
            names.append("" if c is None else f"c{k}_{j}")
            if c is not None:
                constants.append(numpy_helper.from_array(np.asarray(c), names[-1]))
        nodes.append(helper.make_node(case.operator, names, [f"y{k}"], **case.attributes))
    outputs = [onnx.ValueInfoProto(name=f"y{k}") for k in range(len(cases))]
    graph = helper.make_graph(nodes, "nodes", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", cases[0].opset)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    known = onnx.shape_inference.infer_shapes(made, data_prop=True).graph.output
    del made.graph.output[:]
    for value in known:
        if not value.type.tensor_type.elem_type:  # onnx infers no type for some forms
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        made.graph.output.append(value)
    return made, feeds


def reference(made: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The results of ONNX Runtime, node by node."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def known_to_onnxruntime(case: Case) -> bool:
    """Whether ONNX Runtime accepts the node."""
    try:
        reference(*model([case]))
    except Exception:  # ONNX Runtime's errors have no common base class
        return False
    return True


def compare(cases: Sequence[Case], most: int = 100) -> None:
    """Compile the nodes of each opset together and compare every output with ONNX Runtime's."""
    wrong = []
    for opset in sorted({case.opset for case in cases}):
        same = [case for case in cases if case.opset == opset]
        for start in range(0, len(same), most):
            group = same[start : start + most]
            made, feeds = model(group)
            wanted = reference(made, feeds)
            given = quake_tvm.compile(made, method="exact").run(feeds)
            for case, y, q in zip(group, wanted, given, strict=True):
                if (q.shape, q.dtype) != (y.shape, y.dtype):
                    wrong.append(f"{case}: {q.shape} {q.dtype}, not {y.shape} {y.dtype}")
                elif not np.allclose(q, y, rtol=2e-5, atol=2e-5, equal_nan=True):
                    wrong.append(f"{case}: off by {np.abs(q - y.astype(np.float64)).max():.3g}")
    assert not wrong, "\n".join(wrong)
