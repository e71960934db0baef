"""The ONNX standard's own node tests of the exponential operators, within our bounds.

``onnx.backend.test`` generates a model, inputs and outputs for each case, and for many the same
operator once more as the standard's function body (``_expanded``). Whatever TVM cannot import is
in ``NOT_IMPORTABLE``, and checked to be refused.
"""

import re
import warnings

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import quake_tvm
from quake_tvm.approximation import METHODS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    ALL = {case.name.removeprefix("test_"): case for case in collect_testcases(None)}

# An ONNX operator's test names, and what the registry calls it; None: nothing exponential.
OPERATORS = {
    "softmax": "softmax",
    "logsoftmax": "log_softmax",
    "reduce_log_sum_exp": "logsumexp",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "gelu_default": "gelu",
    "gelu_tanh": "gelu_tanh",
    "elu": "elu",
    "selu": "selu",
    "celu": "celu",
    "softplus": "softplus",
    "mish": "mish",
    "swish": "silu",
    "swiglu": "silu",
    "hardswish": None,
    "exp": "exp",
    "erf": "erf",
    "lstm": None,
    "gru": None,
}
_NAMES = re.compile(rf"({'|'.join(OPERATORS)})(_(?!dim)|$)")
CASES = {name: case for name, case in ALL.items() if _NAMES.match(name)}

_RECURRENT = "TVM's ONNX importer has no recurrent layers"
_AXES = "the axes are an input at run time"
NOT_IMPORTABLE = {
    **dict.fromkeys(
        [
            f"{layer}_{kind}"
            for layer in ("gru", "lstm")
            for kind in ("defaults", "with_initial_bias", "batchwise", "reverse", "bidirectional")
        ]
        + ["gru_seq_length", "lstm_with_peepholes"],
        _RECURRENT,
    ),
    **dict.fromkeys(
        [
            f"reduce_log_sum_exp_{kind}{form}"
            for kind in [
                *(
                    f"{kind}_{data}"
                    for kind in (
                        "do_not_keepdims",
                        "keepdims",
                        "default_axes_keepdims",
                        "negative_axes_keepdims",
                    )
                    for data in ("example", "random")
                ),
                "empty_set",
            ]
            for form in ("", "_expanded")
        ],
        _AXES,
    ),
}
IMPORTABLE = [name for name in CASES if name not in NOT_IMPORTABLE]
LOG_SUM_EXP = [name for name, reason in NOT_IMPORTABLE.items() if reason == _AXES]

# What the expected outputs themselves and the steps around a lowered operator may be off.
ULPS = {"float32": 4, "float64": 16, "float16": 4, "bfloat16": 4}
# The forms in which exp alone is recognised: the factor in front of it, in gamma (alpha e^x - alpha).
EXP_ALONE = {"selu_example_expanded_ver18": 6.0, "selu_expanded_ver18": 6.0}


def operator_of(name):
    return OPERATORS[_NAMES.match(name)[1]]


def compile_and_run(model, method, inputs):
    compiled = quake_tvm.compile(model, method=method)
    return compiled.run(list(inputs)), compiled.report


def ulp(y, dtype):
    info = onnx.numpy_helper.ml_dtypes.finfo(dtype)
    return float(info.eps) * np.maximum(np.abs(y), float(info.tiny))


def allowed(name, method, report, y, dtype):
    """The tolerance around the expected values ``y``: the bound of what was lowered, rounding."""
    rounding = ULPS[str(dtype)] * ulp(y, dtype)
    if not report.sites:
        return rounding
    if name in EXP_ALONE:
        # Where exp is computed and dropped, at x > 0, this allows more than needed.
        exp = EXP_ALONE[name] + np.minimum(y, 0)
        return quake_tvm.bound("exp", method).relative * exp + 4 * ulp(EXP_ALONE[name], dtype)
    (site,) = report.sites
    bound = quake_tvm.bound(site.operator, method)
    return bound.relative * np.abs(y) + bound.absolute + rounding


def check(name, model, method, inputs, outputs):
    results, report = compile_and_run(model, method, inputs)
    (q,), (y,) = results, outputs
    assert q.dtype == y.dtype
    assert q.shape == y.shape
    sites = report.sites if y.dtype == np.float32 else report.exact
    if operator_of(name) is not None and sites:
        assert len(sites) == 1
    assert bool(report.sites) == (y.dtype == np.float32 and operator_of(name) is not None)
    q, expected = q.astype(np.float64), y.astype(np.float64)
    close = np.abs(q - expected) <= allowed(name, method, report, expected, y.dtype)
    assert np.all(close | (q == expected))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", IMPORTABLE)
def test_node(name, method):
    case = CASES[name]
    for inputs, outputs in case.data_sets:
        check(name, case.model, method, inputs, outputs)
