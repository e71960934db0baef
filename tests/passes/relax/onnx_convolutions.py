"""ONNX models of one convolution, compiled and compared with ONNX Runtime."""

import numpy as np
import onnxruntime
from onnx import ModelProto, helper, numpy_helper

import quake_tvm

RNG = np.random.default_rng


def model(kind, shape, weights, bias=None, dtype="float32", constant=True, **attributes):
    """A model of operator ``kind`` on ``x`` and ``w``, which is an initializer or an input."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensors = {"w": weights, **({} if bias is None else {"b": bias})}
    inputs = {"x": shape} | ({} if constant else {k: v.shape for k, v in tensors.items()})
    initializers = [
        numpy_helper.from_array(v.astype(dtype), k) for k, v in tensors.items() if constant
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *tensors], ["y"], **attributes)],
        kind,
        [helper.make_tensor_value_info(k, element, v) for k, v in inputs.items()],
        [helper.make_tensor_value_info("y", element, [None] * len(shape))],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def runtime(proto: ModelProto, *arrays: np.ndarray) -> np.ndarray:
    """The result of ONNX Runtime."""
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    names = [i.name for i in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))[0]


def check(
    kind, shape, size, channels, groups=1, constant=True, dtype="float32", unknown=(), **attributes
):
    """Compile one convolution, compare it with ONNX Runtime's in float32, return its kernels.

    Parameters
    ----------
    shape
        (n, inputs, pixels..)
    channels : int
        Of the output.
    unknown : tuple of int
        The axes with dynamic extents.
    """
    inputs = shape[1]
    first = (inputs, channels // groups) if "Transpose" in kind else (channels, inputs // groups)
    weights = RNG(0).normal(size=(*first, *size)).astype(dtype)
    bias, x = RNG(1).normal(size=channels).astype(dtype), RNG(2).normal(size=shape).astype(dtype)
    attributes |= {"group": groups, "kernel_shape": list(size)}
    declared = [f"n{k}" if k in unknown else n for k, n in enumerate(shape)]
    more = [] if constant else [weights, bias]
    compiled = quake_tvm.compile(
        model(kind, declared, weights, bias, dtype, constant, **attributes), method="exact"
    )
    (y,) = compiled.run(x, *more)
    exact = runtime(
        model(kind, shape, weights, bias, "float32", constant, **attributes),
        *(a.astype(np.float32) for a in (x, *more)),
    )
    assert (y.shape, y.dtype) == (exact.shape, dtype)
    tolerance = {"float16": 2e-2}.get(dtype, 1e-4)
    np.testing.assert_allclose(y, exact, rtol=tolerance, atol=tolerance)
    return compiled.report.kernels
