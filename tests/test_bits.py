"""Every operator and rung gives the bits of ``golden_bits.json``, on Relax and on Relay alike.

``python -m pytest tests/test_bits.py --update-golden`` writes the file anew.
"""

import functools
import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import pytest
import tvm

from quake_tvm.approximation import METHODS
from quake_tvm.generation import RELAY
from quake_tvm.inputs import bit_patterns, special_inputs
from quake_tvm.named_targets import target
from quake_tvm.operators import OPERATORS
from quake_tvm.passes.dialect import call

GOLDEN = Path(__file__).parent / "golden_bits.json"
# Any target with FMA has the same bits.
TARGETS = ["native", *(["x86-64-v3"] if platform.machine() == "x86_64" else [])]
ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]


def spread() -> np.ndarray:
    """The special inputs, and as many of all bit patterns as leave no round length."""
    return np.concatenate([special_inputs(), *bit_patterns(1 << 15)])


def rows(*shape: int) -> np.ndarray:
    """Rows of a trained model's kind, the first few of which hold a special value."""
    x = np.random.default_rng(0).normal(0, 4, shape).astype("float32")
    x[0, 1], x[1, 2], x[2, 3], x[3] = np.nan, np.inf, -np.inf, -np.inf
    return x


INPUTS = {
    "spread": (spread(), ELEMENTWISE),
    "64x128": (rows(64, 128), ROWS),
    "5x37": (rows(5, 37), ROWS),
}


def build(operators: list[str], method: str, shape: tuple[int, ...], on: str):
    """The operators' results on an array, compiled in one module."""

    def calls(x):
        for name in operators:
            row = {} if OPERATORS[name].elementwise else {"axis": len(shape) - 1}
            options = dict(OPERATORS[name].parameters) | row
            if name == "logsumexp":
                options["keepdims"] = False
            yield call(name, x, method=method, ieee=True, source="", shape="", **options)

    return (_relay if RELAY else _relax)(calls, shape, target(on))


def _relay(calls, shape: tuple[int, ...], on: tvm.target.Target):
    from tvm import relay
    from tvm.contrib import graph_executor

    x = relay.var("x", shape=shape)
    mod = tvm.IRModule.from_expr(relay.Function([x], relay.Tuple(list(calls(x)))))
    with tvm.transform.PassContext(opt_level=3):
        lib = relay.build(mod, on)
    machine = graph_executor.GraphModule(lib["default"](tvm.cpu()))

    def run(array: np.ndarray) -> list[np.ndarray]:
        machine.run(x=array)
        return [machine.get_output(k).numpy() for k in range(machine.get_num_outputs())]

    return run


def _relax(calls, shape: tuple[int, ...], on: tvm.target.Target):
    from tvm import relax

    import quake_tvm

    x, builder = relax.Var("x", relax.TensorType(shape, "float32")), relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple([builder.emit(c) for c in calls(x)]))
        builder.emit_func_output(result)
    return quake_tvm.compile(builder.get(), on).run


@functools.cache
def hashes(on: str) -> dict[str, str]:
    """SHA-256 of the result's bits, every NaN counting as the same, by operator, rung and input."""
    found = {}
    for name, (x, operators) in INPUTS.items():
        for method in METHODS:
            for operator, y in zip(
                operators, build(operators, method, x.shape, on)(x), strict=True
            ):
                y[np.isnan(y)] = np.nan
                bits = y.astype("<f4").tobytes()
                found[f"{operator} {method} {name}"] = hashlib.sha256(bits).hexdigest()
    return found


def test_golden(request):
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(json.dumps(hashes(TARGETS[-1]), indent=1) + "\n")
    assert set(json.loads(GOLDEN.read_text())) == set(hashes(TARGETS[-1]))


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_bits(operator, method, on):
    golden, found = json.loads(GOLDEN.read_text()), hashes(on)
    keys = [key for key in golden if key.startswith(f"{operator} {method} ")]
    assert keys
    assert {key: found[key] for key in keys} == {key: golden[key] for key in keys}
