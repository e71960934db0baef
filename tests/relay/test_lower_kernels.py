"""Exponentials inside operators' kernels are lowered in a build, except those that stay exact."""

from collections.abc import Iterator

import numpy as np
import pytest
import tvm
from tvm import meta_schedule as ms
from tvm import relay, te, tir
from tvm.relay.op import op as registry

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.passes.lower_tir import intrinsics
from quake_tvm.passes.relay.lower_kernels import LowerKernels
from quake_tvm.report import Report
from quake_tvm.tvm_version import register_op

from .modules import Formula, gelu, module, random, run, silu

HIDING = "tests.hiding"
VECTOR = (3, 40)


@pytest.fixture(scope="module", autouse=True)
def hiding_operator() -> None:
    """An operator whose kernel calls exp and tanh, in any dtype."""
    operator = register_op(HIDING, "tanh(e^-|x|)")
    operator.set_num_inputs(1)
    operator.add_type_rel("Identity")

    def compute(_: tvm.ir.Attrs, inputs: list[te.Tensor], __: relay.Type) -> list[te.Tensor]:
        (x,) = inputs
        return [te.compute(x.shape, lambda *i: te.tanh(te.exp(-te.abs(x(*i)))), tag="elemwise")]

    registry.register_compute(HIDING, compute)
    registry.register_injective_schedule(HIDING)
    registry.register_pattern(HIDING, relay.op.OpPattern.ELEMWISE)


def hiding(x: relay.Expr) -> relay.Expr:
    return relay.Call(tvm.ir.Op.get(HIDING), [x])


class Seen:
    """A user's pass that lists the intrinsics that the kernels still call."""

    def __init__(self) -> None:
        self.left: dict[str, set[str]] = {}

    def __call__(self) -> tvm.transform.Pass:
        @tir.transform.prim_func_pass(opt_level=0)
        def see(function, mod, context):
            name = str(function.attrs["global_symbol"]).removeprefix("tvmgen_default_fused_")
            self.left[name] = {operator for operator, _ in intrinsics(function)}
            return function

        return see


def compiled(mod: tvm.IRModule, **options: object) -> tuple[object, Report, dict[str, set[str]]]:
    """The library, the report, and the intrinsics of each kernel before code generation."""
    seen = Seen()
    config = {"tir.add_lower_pass": [(3, seen())]}
    with quake_tvm.PassContext(opt_level=3, config=config, **options) as context:
        lib = relay.build(mod, target())
    return lib, context.report, seen.left


@pytest.mark.parametrize("method", ["quake2", "quake5"])
def test_hidden_intrinsics_are_lowered(method: str) -> None:
    lib, report, left = compiled(module(hiding, VECTOR), method=method)
    assert left == {"tests_hiding": set()}
    assert {(s.operator, s.method, s.source) for s in report.sites} == {
        ("exp", method, "TIR"),
        ("tanh", method, "TIR"),
    }
    assert {s.kernel for s in report.sites} == {"tvmgen_default_fused_tests_hiding"}
    x = random(*VECTOR)
    error = quake_tvm.bound("exp", method).relative + quake_tvm.bound("tanh", method).relative
    np.testing.assert_allclose(run(lib, x), np.tanh(np.exp(-np.abs(x))), rtol=error, atol=1e-7)


def test_multibox() -> None:
    shapes = (1, 3, 20), (1, 80), (1, 20, 4)
    mod = module(lambda *x: relay.vision.multibox_transform_loc(*x)[0], *shapes)
    _, report, left = compiled(mod)
    assert left == {"vision_multibox_transform_loc": set()}
    (site,) = report.sites
    assert (site.operator, site.source) == ("exp", "TIR")
    assert site.kernel.endswith("fused_vision_multibox_transform_loc")


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        ({"skip": ["exp"]}, {"exp"}),
        ({"only": ["exp"]}, {"tanh"}),
        ({"only": ["softmax"]}, {"exp", "tanh"}),
        ({"method": "exact"}, {"exp", "tanh"}),
        ({"disabled_pass": ["QuAKE"]}, {"exp", "tanh"}),
        ({"max_error": 1e-30}, {"exp", "tanh"}),
    ],
    ids=["skip", "only", "only_another", "exact", "disabled", "max_error"],
)
def test_options(options: dict, stays: set[str]) -> None:
    _, report, left = compiled(module(hiding, VECTOR), **options)
    assert left == {"tests_hiding": stays}
    assert {site.operator for site in report.exact} == stays
    assert {site.operator for site in report.sites} == {"exp", "tanh"} - stays
    assert all(site.reason for site in report.exact)


def test_other_dtypes_stay() -> None:
    dtype = "float64"
    _, report, _ = compiled(module(hiding, VECTOR, dtype=dtype))
    assert report.sites == []
    assert {(site.operator, site.dtype) for site in report.exact} == {
        ("exp", dtype),
        ("tanh", dtype),
    }
    assert all(dtype in site.reason for site in report.exact)


# If such an operator is skipped, its decomposition must not be lowered either.
SKIPPED: dict[str, Formula] = {
    "exp": relay.exp,
    "sigmoid": relay.sigmoid,
    "tanh": relay.tanh,
    "erf": relay.erf,
    "gelu": gelu,
    "silu": silu,
    "softplus": lambda x: relay.log(relay.exp(x) + relay.const(1.0)),
    "softmax": relay.nn.softmax,
    "log_softmax": relay.nn.log_softmax,
    "logsumexp": lambda x: relay.logsumexp(x, 1),
}


@pytest.mark.parametrize("operator", SKIPPED)
def test_skipped_operator_is_exact_to_the_bit(operator: str) -> None:
    mod, x = module(SKIPPED[operator], VECTOR), random(*VECTOR)
    lib, report, left = compiled(mod, skip=[operator])
    with tvm.transform.PassContext(opt_level=3):
        exact = run(relay.build(mod, target()), x)
    np.testing.assert_array_equal(run(lib, x), exact)
    assert report.sites == []
    assert [site.operator for site in report.exact] == [operator]
    assert set().union(*left.values())


def test_skipped_beside_a_lowered_one() -> None:
    mod = module(lambda x: relay.nn.softmax(gelu(x)), VECTOR)
    _, report, left = compiled(mod, skip=["gelu"])
    assert {name: kinds for name, kinds in left.items() if kinds} == {
        name: {"erf"} for name in left if "erf" in name
    }
    assert [site.operator for site in report.sites] == ["softmax"]


def test_hidden_one_fused_with_our_own() -> None:
    _, report, left = compiled(module(lambda x: hiding(gelu(x)), VECTOR))
    assert left == {"quake_gelu_tests_hiding": set()}
    assert {site.operator for site in report.sites} == {"gelu", "exp", "tanh"}


def test_hidden_one_fused_with_our_own_of_tvms_name() -> None:
    _, report, left = compiled(module(lambda x: hiding(relay.exp(x)), VECTOR))
    assert left == {"quake_exp_tests_hiding": set()}
    assert sorted(site.operator for site in report.sites) == ["exp", "exp", "tanh"]


@pytest.mark.parametrize("skip", [[], ["gelu"]], ids=["lowered", "skipped"])
def test_kernel_whose_name_tvm_cut(skip: list[str]) -> None:
    def formula(x: relay.Expr) -> relay.Expr:
        for _ in range(8):
            x = relay.sqrt(relay.abs(relay.sin(x) + relay.const(1.5)))
        return gelu(hiding(x))

    _, report, left = compiled(module(formula, VECTOR), skip=skip)
    ((name, kinds),) = left.items()
    assert "erf" not in name
    assert "gelu" not in name
    assert kinds == ({"exp", "tanh", "erf"} if skip else set())
    assert {site.operator for site in report.sites} == (set() if skip else {"gelu", "exp", "tanh"})
    assert [site.operator for site in report.exact] == skip


def test_other_builds_do_not_count() -> None:
    """Neither a build in a context of its own, nor the one in which TVM folds constants."""
    one = relay.const(np.ones(VECTOR, np.float32))
    folded = module(lambda x: relay.nn.relu(x) + relay.exp(one), VECTOR)
    x, y = te_kernel()
    with quake_tvm.PassContext(opt_level=3) as context:
        with tvm.transform.PassContext(opt_level=3):
            relay.build(module(relay.exp, VECTOR), target())
            relay.build(folded, target())
        tvm.build(te.create_schedule(y.op), [x, y], target())
    assert [site.operator for site in context.report.sites] == ["exp"]


@pytest.mark.parametrize("tuner", ["meta_schedule", "auto_scheduler"])
def test_builds_for_a_tuner(tuner: str) -> None:
    """A hidden operator in the first kernel is lowered, a skipped one in the last is not."""
    mod = module(lambda x: relay.exp(relay.nn.dense(hiding(x), x)), VECTOR)
    seen = Seen()
    config = {f"relay.backend.use_{tuner}": True, "tir.add_lower_pass": [(3, seen())]}
    context = quake_tvm.PassContext(opt_level=3, config=config, skip=["exp"])
    with ms.database.MemoryDatabase(), context:
        relay.build(mod, target())
    assert sorted(map(sorted, seen.left.values())) == [["exp"], ["exp"]]
    assert {site.operator for site in context.report.sites} == {"tanh"}


def te_kernel() -> Iterator[te.Tensor]:
    x = te.placeholder((16,), name="x")
    return [x, te.compute((16,), lambda i: te.exp(x[i]), name="y")]


def test_kernel_that_is_no_operators() -> None:
    """A kernel of ``tvm.build`` inside the context."""
    x, y = te_kernel()
    with quake_tvm.PassContext() as context:
        tvm.build(te.create_schedule(y.op), [x, y], target())
    assert [site.operator for site in context.report.sites] == ["exp"]


def test_kernel_without_a_name() -> None:
    function = te.create_prim_func(te_kernel()).without_attr("global_symbol")
    kernels = LowerKernels(Options.parse())
    _, lower = kernels.phases()[0]
    lowered = lower(tvm.IRModule({"main": function}))["main"]
    assert intrinsics(lowered) == []
    assert [site["operator"] for site in kernels.lowered] == ["exp"]


def test_last_build_counts() -> None:
    with quake_tvm.PassContext(opt_level=3) as context:
        relay.build(module(hiding, VECTOR), target())
        assert len(context.report.sites) == 2
        relay.build(module(hiding, (2, 3)), target())
        assert len(context.report.sites) == 2
        relay.build(module(relay.nn.relu, VECTOR), target())
        assert context.report.sites == []
