"""A user adds an operator, a target and a schedule rule without a change to the library."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax, s_tir, te, topi

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.accuracy import sweep
from quake_tvm.machines import table, targets
from quake_tvm.numerics import operators
from quake_tvm.numerics.exp_bits import constant
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.schedules import RULE, RULES, elementwise, schedule
from quake_tvm.schedules.rule import Rule
from quake_tvm.tvm_version import tir
from tests.helpers import c, module

NAN, INF = float("nan"), float("inf")


def gate(x, rung, ieee=True):
    """x relu6(x + 3)/6, the same on every rung. Constants come first, so that NaN passes."""
    open_ = tir.max(constant(0), tir.min(constant(6), x + constant(3)))
    return x * (open_ * constant(1 / 6))


def gate_exact(m, x):
    return x * m.minimum(m.maximum(x + 3, 0), 6) / 6


BOUND = {"relative": 3e-7, "absolute": 0.0, "witness": 2.5, "monotone": None}
ROW = operators.Operator(
    "gate",
    "x relu6(x + 3)/6",
    gate,
    gate_exact,
    special={-INF: NAN, INF: INF, NAN: NAN},
    rising=False,
    exponential=False,
)


@pytest.fixture
def registered():
    operators.register(ROW, dict.fromkeys(METHODS, BOUND))
    yield
    del operators.OPERATORS["gate"], operators._table()["gate"]


def limits(x):
    clipped = relax.op.minimum(relax.op.maximum(x + c(3.0), c(0.0)), c(6.0))
    return relax.op.divide(relax.op.multiply(x, clipped), c(6.0))


def clip(x):
    return relax.op.multiply(x, relax.op.divide(relax.op.clip(x + c(3.0), 0, 6), c(6.0)))


def scaled_first(x):
    open_ = relax.op.clip(x * c(1 / 6) + c(0.5), 0, 1)
    return relax.op.multiply(x, open_)


@pytest.mark.parametrize("written_out", [limits, clip, scaled_first])
def test_an_operator(registered, written_out):
    model = quake_tvm.compile(module(written_out, (5, 33)), method="quake2")
    (site,) = model.report.sites
    assert (site.operator, site.relative) == ("gate", BOUND["relative"])
    x = np.linspace(-8, 8, 165, dtype=np.float32).reshape(5, 33)
    x[0, :3] = INF, NAN, -INF
    (found,) = model.run(x)
    with np.errstate(invalid="ignore"):
        exact = gate_exact(np, x.astype(np.float64))
    np.testing.assert_allclose(found, exact, rtol=BOUND["relative"])
    assert quake_tvm.bound("gate", "quake3").relative == BOUND["relative"]
    assert not quake_tvm.compile(module(written_out, (5, 33)), skip=["gate"]).report.sites


def test_an_operator_without_bounds(monkeypatch):
    monkeypatch.setitem(operators.OPERATORS, "gate", ROW)
    with pytest.raises(QuakeError, match=r"gate has no bounds yet: .*--exhaustive --update gate"):
        quake_tvm.bound("gate")


def test_operators_that_are_refused(registered):
    bounds = dict.fromkeys(METHODS, BOUND)
    with pytest.raises(QuakeError, match="an operator 'gate' already"):
        operators.register(ROW, bounds)
    with pytest.raises(QuakeError, match="no bound on quake2, "):
        operators.register(
            operators.Operator("other", "", gate, gate_exact, special=ROW.special),
            {"quake1": BOUND},
        )
    with pytest.raises(QuakeError, match="needs expression, reference"):
        operators.register(operators.Operator("other", ""), bounds)
    with pytest.raises(QuakeError, match="'other' on quake1: a bound has absolute, monotone, "):
        operators.register(replace(ROW, name="other"), bounds | {"quake1": {"error": 1e-3}})
    strange = replace(ROW, name="other", reference=lambda m, x: m.cosh(x))
    with pytest.raises(QuakeError, match="'other' needs cosh: references have only abs, erf, "):
        operators.register(strange, bounds)


def test_bounds_of_an_operator_are_measured(registered):
    found = sweep("gate", quake_tvm.target("native"), 1 << 16)
    for method, (findings, _) in found.items():
        assert findings.as_bound().relative <= quake_tvm.bound("gate", method).relative


@pytest.mark.parametrize("limits", ["Clip", "Max, Min"])
def test_an_operator_in_onnx(registered, limits):
    nodes = [helper.make_node("Add", ["x", "shift"], ["a"])]
    if limits == "Clip":
        nodes += [helper.make_node("Clip", ["a", "low", "high"], ["b"])]
    else:
        nodes += [helper.make_node("Max", ["a", "low"], ["m"])]
        nodes += [helper.make_node("Min", ["high", "m"], ["b"])]
    nodes += [
        helper.make_node("Mul", ["x", "b"], ["c"]),
        helper.make_node("Div", ["c", "high"], ["y"]),
    ]
    numbers = {"shift": 3.0, "low": 0.0, "high": 6.0}
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, (5, 33)) for n in "xy")
    weights = [numpy_helper.from_array(np.float32(v), n) for n, v in numbers.items()]
    graph = helper.make_graph(nodes, "gate", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (site,) = quake_tvm.compile(model).report.sites
    assert (site.operator, site.relative) == ("gate", BOUND["relative"])


def test_a_target():
    row = table.Row("a board on my desk", "aarch64-linux-gnu", "cortex-a55", cores=2)
    targets.register("desk", row)
    try:
        with pytest.raises(QuakeError, match="a target 'desk' already"):
            targets.register("desk", row)
        assert "desk" in quake_tvm.targets()
        board = quake_tvm.target("desk")
        assert (board.attrs["mcpu"], targets.lanes(board)) == ("cortex-a55", 4)
        model = quake_tvm.compile(module(relax.op.nn.softmax, (2, 8)), "desk", "quake2")
        assert model.report.sites[0].operator == "softmax"
    finally:
        del table.TARGETS["desk"]


def test_targets_that_are_refused():
    with pytest.raises(QuakeError, match=r"knows no mcpu 'cortex-a99' .*: choose cortex-a"):
        targets.register("desk", table.Row("a new board", "aarch64-linux-gnu", "cortex-a99"))
    with pytest.raises(QuakeError, match=r"the target 'desk' is a dict: give a machines.table.Row"):
        targets.register("desk", {"mcpu": "cortex-a55"})
    assert "desk" not in quake_tvm.targets()


def test_a_rule():
    def first(function, target, decide):
        return elementwise.apply(function, target, decide)

    mine = (Rule("mine", first), *RULES)
    mod = module(lambda x: relax.op.nn.softmax(relax.op.sigmoid(x)), (4, 16))
    target = quake_tvm.target("native")
    with target:
        scheduled = Pipeline.of(target, rules=mine).upto("schedule")(mod)
    kernels = [f for f in scheduled.functions.values() if isinstance(f, tir.PrimFunc)]
    assert {str(kernel.attrs[RULE]) for kernel in kernels} == {"mine", "rows"}
    x = np.linspace(-3, 3, 64, dtype=np.float32).reshape(4, 16)
    built = tvm.compile(mod, target, relax_pipeline=quake_tvm.pipeline(target, rules=mine))
    found = relax.VirtualMachine(built, tvm.cpu())["main"](tvm.runtime.tensor(x)).numpy()
    np.testing.assert_array_equal(found, quake_tvm.compile(mod).run(x)[0])
    model = quake_tvm.compile(mod, rules=mine)
    assert [site.schedule for site in model.report.sites] == ["mine", "rows"]
    np.testing.assert_array_equal(found, model.run(x)[0])
    with pytest.raises(
        QuakeError, match=r"rules is a sequence of quake_tvm.schedules.Rule, not <f"
    ):
        quake_tvm.compile(mod, rules=(first, *RULES))


def test_a_rule_that_tvm_refuses_is_logged(caplog):
    def wrong(function, target, decide):
        sch = s_tir.Schedule(function)
        sch.compute_inline(sch.get_child_blocks(sch.get_sblock("root"))[0])  # the output
        return sch

    x = te.placeholder((4, 16), name="x")
    function = te.create_prim_func([x, topi.exp(x)])
    log = logging.getLogger("quake_tvm.schedules")
    handlers, log.handlers = log.handlers, []  # the handlers of the tests, which raise
    try:
        done = schedule(function, quake_tvm.target("native"), rules=(Rule("wrong", wrong), *RULES))
    finally:
        log.handlers = handlers
    assert done.attrs[RULE] == "elementwise"
    assert "the rule wrong cannot schedule what it took" in caplog.text
