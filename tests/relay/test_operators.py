"""The operators in Relay: types, dynamic shapes, any extent, every executor."""

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.runtime import vm

from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.numerics import reference
from quake_tvm.numerics.operators import OPERATORS, bound

from .modules import build, kernels, module, quake, random, run, run_vm

ANY = relay.Any()
METHOD = "quake3"
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]
SHAPES = [(3, 5), (1, 1), (0, 4), (4, 0), (64, 128), (7, 33)]


def exact(operator: str, x: np.ndarray, axis: int = 1, keepdims: bool = False) -> np.ndarray:
    """The operator in float64."""
    x = x.astype(np.float64)
    row = OPERATORS[operator]
    if row.elementwise:
        return row.reference(reference.NUMPY, x, **row.parameters)
    top = x.max(axis, keepdims=True, initial=-np.inf)
    with np.errstate(all="ignore"):
        total = top + np.log(np.exp(x - top).sum(axis, keepdims=True))
    if operator == "logsumexp":
        return np.where(np.isneginf(top), -np.inf, total).sum(axis, keepdims=keepdims)
    return np.exp(x - total) if operator == "softmax" else x - total


def assert_within_bound(operator: str, found: np.ndarray, y: np.ndarray) -> None:
    promised = bound(operator, METHOD)
    assert found.shape == y.shape
    with np.errstate(invalid="ignore"):
        close = np.abs(found - y) <= promised.relative * np.abs(y) + promised.absolute
    assert np.all(close | (found == y))


def compiled(mod: tvm.IRModule) -> vm.Executable:
    with tvm.transform.PassContext(opt_level=3):
        return relay.vm.compile(mod, target())


@pytest.mark.parametrize("operator", OPERATORS)
def test_extents_that_only_the_run_knows(operator: str) -> None:
    executable = compiled(module(lambda x: quake(x, operator, method=METHOD), (ANY, ANY)))
    for shape in SHAPES:
        x = random(*shape)
        assert_within_bound(operator, run_vm(executable, x), exact(operator, x))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("operator", ["softmax", "log_softmax"])
def test_rows_along_another_axis(operator: str, axis: int) -> None:
    formula = getattr(relay.nn, operator)
    mod = relay.transform.InferType()(module(lambda x: formula(x, axis=axis), (ANY, ANY, ANY)))
    executable = compiled(lowered(mod))
    for shape in [(3, 5, 7), (2, 17, 1), (1, 1, 33)]:
        x = random(*shape)
        assert_within_bound(operator, run_vm(executable, x), exact(operator, x, axis))


def lowered(mod: tvm.IRModule) -> tvm.IRModule:
    import quake_tvm

    mod = quake_tvm.QuAKE(METHOD)(mod)
    assert "quake." in mod.astext()
    return mod


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_logsumexp_with_and_without_its_axis(axis: int, keepdims: bool) -> None:
    mod = lowered(module(lambda x: relay.logsumexp(x, axis, keepdims), (ANY, ANY)))
    executable = compiled(mod)
    for shape in [(3, 5), (17, 2), (1, 64)]:
        x = random(*shape)
        y = exact("logsumexp", x, axis, keepdims)
        assert_within_bound("logsumexp", run_vm(executable, x), y)


@pytest.mark.parametrize("shape", [(5,), (ANY,)], ids=["static", "dynamic"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_of_a_vector(keepdims: bool, shape: tuple) -> None:
    mod = module(lambda x: quake(x, "logsumexp", axis=0, keepdims=keepdims), shape)
    x = random(5)
    y = exact("logsumexp", x, 0, keepdims)
    assert_within_bound("logsumexp", run_vm(compiled(mod), x), y)


def test_mask_of_unknown_extents() -> None:
    mod = module(
        lambda x, mask: quake(x, "softmax", mask, axis=2, scale=0.5),
        (ANY, 4, ANY),
        (ANY, 1, ANY),
    )
    executable = compiled(mod)
    for shape in [(2, 4, 5), (3, 4, 17), (1, 4, 128)]:
        x, mask = random(*shape), random(shape[0], 1, shape[2])
        y = exact("softmax", 0.5 * x + mask, 2)
        assert_within_bound("softmax", run_vm(executable, x, mask), y)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (0, 3), (3, 0), (2, 1, 3, 5)], ids=str)
def test_extents_of_elementwise_operators(shape: tuple) -> None:
    x = random(*shape)
    found = run(build(module(lambda x: quake(x, "gelu", method=METHOD), shape)), x)
    assert_within_bound("gelu", found, exact("gelu", x))


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 3), (0, 3), (5, 37), (2, 1025)], ids=str)
@pytest.mark.parametrize("operator", ROWS)
def test_extents_of_rows(operator: str, shape: tuple) -> None:
    x = random(*shape)
    found = run(build(module(lambda x: quake(x, operator, method=METHOD), shape)), x)
    assert_within_bound(operator, found, exact(operator, x))


def test_empty_rows_have_a_logarithm_of_zero() -> None:
    found = run(build(module(lambda x: quake(x, "logsumexp"), (5, 0))), random(5, 0))
    np.testing.assert_array_equal(found, np.full(5, -np.inf, np.float32))


def both(x: relay.Expr) -> relay.Expr:
    return quake(quake(x, "gelu"), "softmax")


@pytest.mark.parametrize("opt_level", range(5))
def test_every_level_gives_the_same_bits(opt_level: int) -> None:
    x = random(5, 37)
    expected = run(build(module(both, (5, 37)), 3), x)
    np.testing.assert_array_equal(run(build(module(both, (5, 37)), opt_level), x), expected)


@pytest.mark.parametrize("executor", ["graph", "vm", "debug", "aot"])
def test_every_executor_gives_the_same_bits(executor: str) -> None:
    x, mod = random(5, 37), module(both, (5, 37))
    machine = relay.create_executor(executor, mod, tvm.cpu(), target())
    np.testing.assert_array_equal(machine.evaluate()(x).numpy(), run(build(mod), x))


def test_operator_on_a_constant_is_folded() -> None:
    """TVM folds on a target without FMA, so the bound is checked, not the bits."""
    x = random(5, 37)
    mod = module(lambda y: y + quake(relay.const(x), "gelu", method=METHOD), (5, 37))
    lib = build(mod)
    assert kernels(lib) == ["add"]
    assert_within_bound("gelu", run(lib, np.zeros_like(x)), exact("gelu", x))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        pytest.param(lambda x, m: quake(relay.Tuple([x, x]), "gelu"), "tensors", id="tuple"),
        pytest.param(lambda x, m: quake(x, "logsumexp", axis=5), "axis 5", id="axis"),
        pytest.param(lambda x, m: quake(x, "softmax", m), "broadcast", id="mask"),
        pytest.param(lambda x, m: quake(m, "softmax", x, axis=0), "broadcast", id="mask_rank"),
        pytest.param(lambda x, m: quake(relay.cast(x, "float64"), "gelu"), "float32", id="float64"),
    ],
)
def test_type_error_says_what_is_wrong(formula, message: str) -> None:
    with pytest.raises(QuakeError, match=message) as error:
        module(formula, (2, 3), (4,))
    assert "\n" not in str(error.value)
