"""Every operator and rung gives the bits of ``golden_bits.json``, with every TVM and machine.

Four properties ensure this: every product that is added to something is fused; a value is clamped
before it is converted to an integer, because machines differ out of range; the formula decides
which operand of a ``max`` replaces a NaN, not the machine; and sums over rows have one tree. All
NaNs count as equal, since machines generate different NaNs.

ARMv7 is different: its NEON treats every subnormal number as a zero of the same sign, in inputs,
results and intermediate values. So the file has two hashes of a result: of its ``bits``, for every
machine except ARMv7, and of the ``flushed`` result, for all machines. The latter excludes subnormal
inputs, and replaces by zero results below 2^-112, which a subnormal intermediate value can affect.

``python -m pytest tests/numerics/test_bits.py -k test_golden --update-golden`` rewrites the file.
"""

import functools
import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import pytest
import tvm

from quake_tvm.accuracy.float32_inputs import bit_patterns, special_inputs
from quake_tvm.machines.targets import lanes, target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.passes.dialect import call
from quake_tvm.tvm_version import RELAY

if RELAY:
    EMULATED, ARMV7 = [], None
else:
    from tests.emulation import machines
    from tests.emulation.machines import ARMV7, MACHINES

    EMULATED = list(MACHINES)

GOLDEN = Path(__file__).parent / "golden_bits.json"
# Their instructions for float32 are those of Cortex-A72 and Neoverse N1, in another order.
REORDERED = {"cortex-a53", "cortex-a76"}
# test_single_rounding tests machines without FMA.
TARGETS = [
    *("native", "x86-64-v3", "x86-64-v4"),
    *(pytest.param(on, marks=[pytest.mark.sweep] * (on in REORDERED)) for on in EMULATED),
]
ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]
# A subnormal number is below 2^-126, and no formula multiplies one by more than 2^14: by x, and
# in quake1's GELU by the polynomial next to exp.
TINY = 2.0**-112


def spread() -> np.ndarray:
    """The special inputs, and a sample of all bit patterns. Their number is no multiple of 16."""
    return np.concatenate([special_inputs(), *bit_patterns(1 << 15)])


def rows(*shape: int) -> np.ndarray:
    """Rows like those of a trained model. The first few have a special value."""
    x = np.random.default_rng(0).normal(0, 4, shape).astype("float32")
    x[0, 1], x[1, 2], x[2, 3], x[3] = np.nan, np.inf, -np.inf, -np.inf
    return x


INPUTS = {
    "spread": (spread(), ELEMENTWISE),
    "64x128": (rows(64, 128), ROWS),
    "5x37": (rows(5, 37), ROWS),
}


def build(operators: list[str], method: str, shape: tuple[int, ...], on: str | tvm.target.Target):
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


# The names of all results.
NAMES = [
    f"{operator} {method} {name}"
    for name, (_, operators) in INPUTS.items()
    for method in METHODS
    for operator in operators
]


def _compiled(on: str, method: str) -> dict[str, np.ndarray]:
    found = {}
    for name, (x, operators) in INPUTS.items():
        for operator, y in zip(operators, build(operators, method, x.shape, on)(x), strict=True):
            found[f"{operator} {method} {name}"] = y
    return found


@functools.cache
def emulated(on: str) -> dict[str, np.ndarray]:
    """The results of every operator on every rung on an emulated machine, by name."""
    machine, functions, calls = machines.emulated(on), {}, {}
    for name, (x, operators) in INPUTS.items():
        for method in METHODS:
            for operator in operators:
                symbol = f"{operator}_{method}_{name}"
                functions[symbol] = machines.function(operator, method, x.shape)
                calls[f"{operator} {method} {name}"] = machines.call(operator, symbol, x)
    found = machines.run(functions, calls.values(), machine)
    return dict(zip(calls, found, strict=True))


def flushed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The result y without the part that depends on subnormal numbers."""
    y = np.where(np.abs(y) < TINY, np.float32(0), y)
    if x.shape != y.shape:
        return y
    return y[(np.abs(x) >= np.finfo(np.float32).tiny) | (x == 0) | np.isnan(x)]


def sha(y: np.ndarray) -> str:
    """SHA-256 of the bits. All NaNs count as equal."""
    return hashlib.sha256(np.where(np.isnan(y), np.nan, y).astype("<f4").tobytes()).hexdigest()


@functools.cache
def hashes(on: str, method: str) -> dict[str, dict[str, str]]:
    """Both hashes of the results of every operator on a rung."""
    found = emulated(on) if on in EMULATED else _compiled(on, method)
    inputs = {name: x for name, (x, _) in INPUTS.items()}
    return {
        name: {"bits": sha(found[name]), "flushed": sha(flushed(inputs[place], found[name]))}
        for name in NAMES
        for _, rung, place in [name.split()]
        if rung == method
    }


def require(on: str) -> None:
    """Skip the test if the machine is not available."""
    if on.startswith("x86"):
        if platform.machine() != "x86_64":
            pytest.skip(f"no {on} here")
        if lanes(target()) < lanes(target(on)):
            pytest.skip("this machine has shorter vectors")


def test_golden(request):
    if request.config.getoption("--update-golden"):
        found = {name: hashes("native", name.split()[1])[name] for name in NAMES}
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    assert set(json.loads(GOLDEN.read_text())) == set(NAMES)


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_bits(operator, method, on):
    require(on)
    golden, found = json.loads(GOLDEN.read_text()), hashes(on, method)
    keys = [key for key in golden if key.startswith(f"{operator} {method} ")]
    assert keys, "no hashes of this operator: test_golden writes them with --update-golden"
    kinds = ["flushed"] if on == ARMV7 else ["flushed", "bits"]
    for kind in kinds:
        assert {key: found[key][kind] for key in keys} == {key: golden[key][kind] for key in keys}
