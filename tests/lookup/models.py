"""Small encoders for the tests of conversions."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def encoder(layers: int = 2, width: int = 32, inner: int = 96, gated: bool = False):
    """Feed-forward layers with residuals and norms, from x (rows, width) to y.

    Returns
    -------
    onnx.ModelProto
    """
    random = np.random.default_rng(3)
    nodes, constants = [], []

    def weight(name: str, *shape: int) -> str:
        array = (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        constants.append(numpy_helper.from_array(array, name))
        return name

    def op(kind: str, inputs: list[str], output: str, **attributes) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    constants += [
        numpy_helper.from_array(np.full(width, value, np.float32), name)
        for name, value in (("one", 1.0), ("zero", 0.0))
    ]
    x = "x"
    for n in range(layers):
        wide = op("MatMul", [x, weight(f"a{n}", width, inner)], f"wide{n}")
        if gated:
            gate = op("Sigmoid", [wide], f"gate{n}")
            silu = op("Mul", [wide, gate], f"silu{n}")
            up = op("MatMul", [x, weight(f"u{n}", width, inner)], f"up{n}")
            act = op("Mul", [silu, up], f"act{n}")
        else:
            biased = op("Add", [wide, weight(f"b{n}", inner)], f"biased{n}")
            act = op("Gelu", [biased], f"act{n}")
        y = op("MatMul", [act, weight(f"c{n}", inner, width)], f"narrow{n}")
        if not gated:
            y = op("Add", [y, weight(f"d{n}", width)], f"out{n}")
        total = op("Add", [y, x], f"sum{n}")
        x = op("LayerNormalization", [total, "one", "zero"], f"norm{n}")
    shape = ["rows", width]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def inputs(calls: int = 8, rows: int = 96, width: int = 32) -> list[dict[str, np.ndarray]]:
    """Rows in a few clusters, which look-ups can learn."""
    random = np.random.default_rng(5)
    centres = random.standard_normal((12, width))
    made = []
    for _ in range(calls):
        rows_of = centres[random.integers(0, 12, rows)]
        noise = random.standard_normal((rows, width))
        made.append({"x": (rows_of + 0.2 * noise).astype(np.float32)})
    return made
