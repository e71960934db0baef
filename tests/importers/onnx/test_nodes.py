"""The ONNX standard's own node tests of the exponential operators, within our bounds.

``onnx.backend.test`` generates a model, inputs and outputs for each case. Many operators have a
second case, the operator's function body in the standard (``_expanded``). Cases that TVM cannot
import are in ``NOT_IMPORTABLE``, and must be refused. The tests below add cases that ONNX does not
generate: old opsets, scalars, empty tensors, all kinds of axes.
"""

import re
import warnings

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm.numerics import reference
from quake_tvm.numerics.ladder import METHODS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the generators divide by zero and cast NaN on purpose
    from onnx.backend.test.case.node import collect_testcases

    ALL = {case.name.removeprefix("test_"): case for case in collect_testcases(None)}

# The beginnings of the cases' names (expand_dim_... is another operator's).
NAME = re.compile(
    "(softmax|logsoftmax|reduce_log_sum_exp|sigmoid|tanh|gelu|elu|selu|celu|softplus|mish|swish"
    "|swiglu|hardswish|exp|erf)(_|$)"
)
CASES = {name: case for name, case in ALL.items() if NAME.match(name)}

# Case to the text of the error.
NOT_IMPORTABLE = {
    name: "Only constant axes" for name in CASES if name.startswith("reduce_log_sum_exp")
}
# A reduction over no elements gives a constant, whatever the axes.
OVER_NOTHING = "reduce_log_sum_exp_empty_set"
# A function body is compiled in the same way on every rung, so two rungs suffice.
RUNS = [
    (name, method)
    for name in CASES
    if name not in NOT_IMPORTABLE
    for method in (("quake1", "quake5") if "_expanded" in name else METHODS)
]
LOG_SUM_EXP = [name for name, reason in NOT_IMPORTABLE.items() if "axes" in reason]

# The error allowed for the expected output, which is rounded to the output's type, and for the
# steps around a lowered operator.
ULPS = {"float32": 4, "float16": 4, "bfloat16": 4, "float64": 16}
# In the form gamma (alpha e^x - alpha) only the exp is recognised: alpha gamma is its factor.
EXP_ALONE = dict.fromkeys(["selu_example_expanded_ver18", "selu_expanded_ver18"], 2.0 * 3.0)


def ulp(y, dtype):
    """The spacing of the type's numbers at y, or a little more."""
    info = ml_dtypes.finfo(dtype)
    return float(info.eps) * np.maximum(np.abs(y), float(info.tiny))


def allowed(operator, method, y, dtype="float32"):
    """The tolerance around the exact values y: rounding, and the bound of a lowered operator."""
    rounding = ULPS[str(dtype)] * ulp(y, dtype)
    if operator is None:
        return rounding
    bound = quake_tvm.bound(operator, method)
    return bound.relative * np.abs(y) + bound.absolute + rounding


def assert_close(q, y, tolerance):
    q, y = q.astype(np.float64), y.astype(np.float64)
    with np.errstate(invalid="ignore"):  # -inf - -inf
        close = np.abs(q - y) <= tolerance
    assert np.all(close | (q == y))


def compile_and_run(model, method, inputs):
    compiled = quake_tvm.compile(model, method=method)
    (result,) = compiled.run(list(inputs))
    return result, compiled.report


@pytest.mark.parametrize(("name", "method"), RUNS)
def test_node(name, method):
    for inputs, (expected,) in CASES[name].data_sets:
        q, report = compile_and_run(CASES[name].model, method, inputs)
        assert (q.shape, q.dtype) == (expected.shape, expected.dtype)
        lowered = [site.operator for site in report.sites]
        if name.startswith("hardswish"):
            assert not report.sites + report.exact
        else:
            assert len(lowered) == (expected.dtype != np.float64)
            assert len(report.exact) == (expected.dtype == np.float64)
        y = expected.astype(np.float64)
        if name in EXP_ALONE:
            factor = EXP_ALONE[name]
            tolerance = allowed("exp", method, factor + np.minimum(y, 0)) + ulp(factor, "float32")
        else:
            tolerance = allowed(*lowered or [None], method, y, expected.dtype)
        assert_close(q, y, tolerance)


@pytest.mark.parametrize("name", NOT_IMPORTABLE)
def test_what_tvm_cannot_import_is_refused(name):
    if name == OVER_NOTHING:
        pytest.skip("it is a constant")
    with pytest.raises(quake_tvm.QuakeError, match=NOT_IMPORTABLE[name]):
        quake_tvm.compile(CASES[name].model)


def with_constant_axes(model, axes, dtype):
    """The model with a constant second input, and with floats of another type."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    data, given = model.graph.input
    model.graph.initializer.append(numpy_helper.from_array(axes, given.name))
    model.graph.input.remove(given)
    for value in (data, *model.graph.output):
        value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return model


@pytest.mark.sampled(5)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["quake1", "quake5"])
@pytest.mark.parametrize("name", LOG_SUM_EXP)
def test_log_sum_exp_with_constant_axes(name, method, dtype):
    for (data, axes), (expected,) in CASES[name].data_sets:
        model = with_constant_axes(CASES[name].model, axes, dtype)
        q, report = compile_and_run(model, method, [data.astype(dtype)])
        assert (q.shape, q.dtype) == (expected.shape, dtype)
        # The standard's function body computes in float64.
        lowered = dtype == "float32" and not name.endswith("_expanded") and name != OVER_NOTHING
        assert len(report.sites) == lowered
        # Over several axes only exp is lowered, with the same effect on the logarithm.
        operator = "logsumexp" if lowered else None
        assert_close(q, expected, allowed(operator, method, expected.astype(np.float64), dtype))


def one_node(operator, opset, shape, **attributes):
    """A model of one operator on ``x``. From opset 18 on ``axes`` is an input."""
    constants = []
    if opset >= 18 and "axes" in attributes:
        constants.append(numpy_helper.from_array(np.array(attributes.pop("axes")), "axes"))
    node = helper.make_node(operator, ["x", *(c.name for c in constants)], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        operator,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize("shape", [(), (1,), (0,), (5,), (2, 0, 3)], ids=str)
@pytest.mark.parametrize(
    ("node", "opset", "operator"),
    [
        ("Sigmoid", 6, "sigmoid"),
        ("Tanh", 6, "tanh"),
        ("Exp", 6, "exp"),
        ("Erf", 9, "erf"),
        ("Gelu", 20, "gelu"),
        ("Elu", 6, "elu"),
        ("Elu", 22, "elu"),
        ("Selu", 6, "selu"),
        ("Softplus", 1, "softplus"),
        ("Softplus", 22, "softplus"),
        ("Celu", 12, "celu"),
        ("Mish", 18, "mish"),
        ("Swish", 24, "silu"),
    ],
)
def test_opsets_and_small_tensors(node, opset, operator, shape):
    x = np.asarray(np.random.default_rng(0).normal(scale=3, size=shape), np.float32)
    q, report = compile_and_run(one_node(node, opset, shape), "quake4", [x])
    y = np.asarray(getattr(reference, operator)(reference.NUMPY, x.astype(np.float64)))
    assert len(report.sites) == (1 if x.size else 0)
    assert q.shape == x.shape
    assert_close(q, y, allowed(operator, "quake4", y))


@pytest.mark.parametrize("opset", [1, 11, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, None])
@pytest.mark.parametrize(
    ("node", "operator"), [("Softmax", "softmax"), ("LogSoftmax", "log_softmax")]
)
def test_softmax_of_any_axis_in_any_opset(node, operator, axis, opset):
    attributes = {} if axis is None else {"axis": axis}
    x = np.random.default_rng(0).normal(scale=3, size=(3, 4, 5)).astype(np.float32)
    q, _ = compile_and_run(one_node(node, opset, x.shape, **attributes), "quake4", [x])
    if axis is None:
        axis = -1 if opset == 13 else 1
    # Before opset 13 all dimensions from the axis on form one row.
    axes = (axis,) if opset == 13 else tuple(range(axis % 3, 3))
    e = np.exp(x.astype(np.float64))
    y = e / e.sum(axes, keepdims=True)
    y = y if operator == "softmax" else np.log(y)
    assert_close(q, y, allowed(operator, "quake4", y))


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [None, (0,), (1,), (-1,), (0, 2), (-1, 0, 1)], ids=str)
def test_log_sum_exp_over_axes(axes, keepdims, opset):
    x = np.random.default_rng(0).normal(scale=3, size=(3, 4, 20)).astype(np.float32)
    attributes = {"keepdims": keepdims} | ({} if axes is None else {"axes": axes})
    model = one_node("ReduceLogSumExp", opset, x.shape, **attributes)
    q, report = compile_and_run(model, "quake4", [x])
    y = np.log(np.exp(x.astype(np.float64)).sum(axes, keepdims=bool(keepdims)))
    operator = "logsumexp" if axes is not None and len(axes) == 1 else "exp"
    assert [site.operator for site in report.sites] == [operator]
    assert q.shape == y.shape
    assert_close(q, y, allowed("logsumexp", "quake4", y))
