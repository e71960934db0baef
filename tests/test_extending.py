"""A user adds an operator, a target and a schedule rule without a change to the library."""

import logging

import numpy as np
import pytest
import tvm
from tvm import relax, s_tir, te, topi

import quake_tvm
from quake_tvm import QuakeError
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
    return x * (6 - m.maximum(6 - m.maximum(x + 3, 0), 0)) / 6


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
