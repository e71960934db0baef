"""Small ONNX models with norms in single operators."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LENGTH, ROWS = 768, 12


def decomposed(centered, dtype=np.float16, size=400.0, reciprocal=False, watched=False):
    """Ids to the norm of a table's rows of about this size, with its constants by name.

    Parameters
    ----------
    centered : bool
        layer_norm, else rms_norm.
    dtype : type
    size : float
    reciprocal : bool
        Whether the norm multiplies by the inverse root.
    watched : bool
        Whether what is squared is an output too.
    """
    rng = np.random.default_rng(0)
    constants = {
        "table": rng.normal(size=(ROWS, LENGTH)) * size,
        "gamma": rng.normal(size=LENGTH),
        "beta": rng.normal(size=LENGTH),
        "two": np.array(2),
        "epsilon": np.array(1e-5),
    }
    over = "d" if centered else "x"
    nodes = [("Gather", ["table", "ids"], "x")]
    if centered:
        nodes += [("ReduceMean", ["x"], "mean"), ("Sub", ["x", "mean"], "d")]
    nodes += [
        ("Pow", [over, "two"], "squares"),
        ("ReduceMean", ["squares"], "square"),
        ("Add", ["square", "epsilon"], "guarded"),
        ("Sqrt", ["guarded"], "root"),
    ]
    if reciprocal:
        nodes += [("Reciprocal", ["root"], "inverse"), ("Mul", [over, "inverse"], "normal")]
    else:
        nodes += [("Div", [over, "root"], "normal")]
    nodes += [("Mul", ["normal", "gamma"], "scaled" if centered else "y")]
    if centered:
        nodes += [("Add", ["scaled", "beta"], "y")]
    used = {name for _, inputs, _ in nodes for name in inputs}
    constants = {name: np.asarray(v, dtype) for name, v in constants.items() if name in used}
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [
            helper.make_node(kind, i, [o], o, **({"axes": [-1]} if kind == "ReduceMean" else {}))
            for kind, i, o in nodes
        ],
        "norm",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [
            helper.make_tensor_value_info(name, element, ["n", LENGTH])
            for name in ["y", *([over] if watched else [])]
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), constants


def exact(constants, centered):
    """The norm of all rows in float64."""
    x = constants["table"].astype(np.float64)
    x = x - x.mean(-1, keepdims=True) if centered else x
    normal = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * constants["gamma"]
    return normal + constants["beta"] if centered else normal


def saved(folder, model):
    """The path of a file with the model."""
    path = folder / "norm.onnx"
    onnx.save(model, path)
    return path
