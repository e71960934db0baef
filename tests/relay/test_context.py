"""``quake_tvm.PassContext`` around ``relay.build`` and similar functions."""

import numpy as np
import pytest
import tvm
from tvm import relay, tir
from tvm.ir.instrument import PassInstrument, pass_instrument
from tvm.relay.backend import Executor, Runtime
from tvm.runtime.executor import AotModule

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.report import Report
from quake_tvm.site_plan import Plan, PlannedSite

from ..test_options import IMPOSSIBLE
from .modules import build, c, gelu, kernels, module, random, run, run_vm, silu

SHAPE = (6, 40)
LEVELS = range(5)


def both(x: relay.Expr) -> relay.Expr:
    return relay.nn.softmax(gelu(x))


def operators(report: Report) -> list[str]:
    return [site.operator for site in report.sites]


def lowered(mod: tvm.IRModule, **options: object) -> tuple[object, Report]:
    with quake_tvm.PassContext(opt_level=3, **options) as context:
        lib = relay.build(mod, target())
    return lib, context.report


def test_result_is_within_the_bounds() -> None:
    mod, x = module(lambda x: relay.nn.softmax(relay.sigmoid(x)), SHAPE), random(*SHAPE)
    lib, report = lowered(mod, method="quake2")
    assert operators(report) == ["sigmoid", "softmax"]
    exact, found = run(build(mod), x), run(lib, x)
    error = (
        quake_tvm.bound("softmax", "quake2").relative
        + quake_tvm.bound("sigmoid", "quake2").relative
    )
    assert np.all(np.abs(found - exact) <= error * exact)
    assert not np.array_equal(found, exact)


def test_pass_and_context_give_the_same_bits() -> None:
    mod, x = module(both, SHAPE), random(*SHAPE)
    lib, _ = lowered(mod, method="quake4")
    np.testing.assert_array_equal(run(lib, x), run(build(quake_tvm.QuAKE("quake4")(mod)), x))


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=str)
@pytest.mark.parametrize("disabled", [[], ["QuAKE"]], ids=str)
def test_option_that_cannot_be(options: dict, disabled: list[str]) -> None:
    with pytest.raises(QuakeError):
        quake_tvm.PassContext(disabled_pass=disabled, **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [("gelu", "quake4"), ("softmax", "quake4")]),
        ({"method": "quake5"}, [("gelu", "quake5"), ("softmax", "quake5")]),
        ({"max_error": 1e-3}, [("gelu", "quake3"), ("softmax", "quake3")]),
        ({"only": ["softmax"]}, [("softmax", "quake4")]),
        ({"skip": ["softmax"]}, [("gelu", "quake4")]),
        ({"method": "exact"}, []),
        ({"disabled_pass": ["QuAKE"]}, []),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_options(options: dict, expected: list[tuple]) -> None:
    lib, report = lowered(module(both, SHAPE), **options)
    assert [(site.operator, site.method) for site in report.sites] == expected
    assert len(report.exact) == 2 - len(expected)
    assert all(site.reason for site in report.exact)
    assert [name for name in kernels(lib) if "quake" in name] == [f"quake_{n}" for n, _ in expected]


def test_finite_special_values() -> None:
    _, report = lowered(module(both, SHAPE), special_values="finite")
    assert {site.special_values for site in report.sites} == {"finite"}


@pytest.mark.parametrize("opt_level", LEVELS)
def test_every_level(opt_level: int) -> None:
    with quake_tvm.PassContext(opt_level=opt_level) as context:
        relay.build(module(both, SHAPE), target())
    assert operators(context.report) == ["gelu", "softmax"]


def changes(mod: tvm.IRModule, compile_it) -> bool:
    """Whether compiling changes the user's module."""
    before, functions = tvm.ir.structural_hash(mod, True), dict(mod.functions.items())
    compile_it(mod)
    same = all(mod[name].same_as(function) for name, function in functions.items())
    return tvm.ir.structural_hash(mod, True) != before or not same


@pytest.mark.parametrize("opt_level", LEVELS)
def test_module_stays_as_it_was(opt_level: int) -> None:
    with quake_tvm.PassContext(opt_level=opt_level) as context:
        assert not changes(module(both, SHAPE), lambda mod: relay.build(mod, target()))
    assert context.report.sites


@pytest.mark.parametrize("opt_level", LEVELS[1:])  # TVM's virtual machine has no level 0
def test_module_stays_as_it_was_for_the_virtual_machine(opt_level: int) -> None:
    with quake_tvm.PassContext(opt_level=opt_level) as context:
        assert not changes(module(both, SHAPE), lambda mod: relay.vm.compile(mod, target()))
    assert context.report.sites


def test_module_of_a_pass_by_hand_stays_as_it_was() -> None:
    simplify = relay.transform.SimplifyInference()
    with quake_tvm.PassContext():
        mod = module(both, SHAPE)
        assert not changes(mod, simplify)
        assert "quake.gelu" in simplify(mod).astext()


class FailOnce(PassInstrument):
    """A user's instrument that ends the first build with an error."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def run_before_pass(self, mod, info) -> None:
        if info.name == self.at:
            self.at = ""
            raise ValueError("no more")


@pytest.mark.parametrize("at", ["InferType", "SimplifyInference", "FoldConstant", "FuseOps"])
@pytest.mark.parametrize("compile_it", [relay.build, relay.vm.compile], ids=["build", "vm"])
def test_failed_build_leaves_nothing_behind(compile_it, at: str) -> None:
    mod = module(both, SHAPE)

    def fail(mod: tvm.IRModule) -> None:
        with pytest.raises(ValueError, match="no more"):
            compile_it(mod, target())

    with quake_tvm.PassContext(opt_level=3, instruments=[FailOnce(at)]) as context:
        assert not changes(mod, fail)
        compile_it(mod, target())
    assert operators(context.report) == ["gelu", "softmax"]


def test_numpy_parameters_are_seen() -> None:
    x, root = relay.var("x0", shape=SHAPE), relay.var("root", shape=())
    mod = tvm.IRModule.from_expr(
        relay.Function([x, root], x * c(0.5) * (c(1) + relay.erf(x / root)))
    )
    params = {"root": np.float32(2**0.5)}
    for compile_it in (relay.build, relay.vm.compile):
        with quake_tvm.PassContext(opt_level=3) as context:
            compile_it(mod, target(), params=params)
        assert operators(context.report) == ["gelu"]


def test_virtual_machine() -> None:
    mod, x = module(both, (relay.Any(), 40)), random(*SHAPE)
    with quake_tvm.PassContext(opt_level=3, method="quake3") as context:
        executable = relay.vm.compile(mod, target())
    assert operators(context.report) == ["gelu", "softmax"]
    assert all(site.kernel for site in context.report.sites)
    expected = run(build(quake_tvm.QuAKE("quake3")(module(both, SHAPE))), x)
    np.testing.assert_array_equal(run_vm(executable, x), expected)


def test_ahead_of_time(tmp_path) -> None:
    mod, x = module(both, SHAPE), random(*SHAPE)
    with quake_tvm.PassContext(opt_level=3, method="quake3") as context:
        lib = relay.build(
            mod,
            target(),
            executor=Executor("aot", {"interface-api": "packed"}),
            runtime=Runtime("cpp"),
        )
    assert operators(context.report) == ["gelu", "softmax"]
    path = str(tmp_path / "lib.so")
    lib.export_library(path)
    machine = AotModule(tvm.runtime.load_module(path)["default"](tvm.cpu()))
    machine.set_input("x0", x)
    machine.run()
    expected = run(build(quake_tvm.QuAKE("quake3")(mod)), x)
    np.testing.assert_array_equal(machine.get_output(0).numpy(), expected)


def test_exported_library_runs_without_us(tmp_path) -> None:
    lib, _ = lowered(module(both, SHAPE))
    path, x = str(tmp_path / "lib.so"), random(*SHAPE)
    lib.export_library(path)
    np.testing.assert_array_equal(run(tvm.runtime.load_module(path), x), run(lib, x))


def test_interpreter() -> None:
    mod, x = module(both, SHAPE), random(*SHAPE)
    with quake_tvm.PassContext(opt_level=3, method="quake3") as context:
        found = relay.create_executor("debug", mod, tvm.cpu(), target()).evaluate()(x).numpy()
    assert operators(context.report) == ["gelu", "softmax"]
    np.testing.assert_array_equal(found, run(build(quake_tvm.QuAKE("quake3")(mod)), x))


def test_innermost_context_counts() -> None:
    mod = module(both, SHAPE)
    outer = quake_tvm.PassContext(opt_level=3, method="quake2")
    inner = quake_tvm.PassContext(opt_level=3, only=["gelu"], method="quake5")
    with outer:
        with inner:
            relay.build(mod, target())
        assert outer.report.sites == []
        with tvm.transform.PassContext(opt_level=3):
            lib = relay.build(mod, target())
        assert not [name for name in kernels(lib) if "quake" in name]
        relay.build(mod, target())
    assert [(s.operator, s.method) for s in inner.report.sites] == [("gelu", "quake5")]
    assert {site.method for site in outer.report.sites} == {"quake2"}
    assert not isinstance(tvm.transform.PassContext.current(), quake_tvm.PassContext)
    assert not [name for name in kernels(relay.build(mod, target())) if "quake" in name]


def test_report_is_that_of_the_last_build() -> None:
    context = quake_tvm.PassContext(opt_level=3)
    assert context.report == Report()
    for formula, found in ((both, ["gelu", "softmax"]), (silu, ["silu"]), (relay.nn.relu, [])):
        with context:
            relay.build(module(formula, SHAPE), target())
        assert operators(context.report) == found


def test_other_passes_inside_the_context() -> None:
    """A module that the user's own passes have changed before the build."""
    steps = [relay.transform.RemoveUnusedFunctions(), relay.transform.FoldConstant()]
    with quake_tvm.PassContext(opt_level=3) as context:
        mod = tvm.transform.Sequential(steps)(module(both, SHAPE))
        assert "quake" not in mod.astext()
        relay.build(mod, target())
    assert operators(context.report) == ["gelu", "softmax"]


def test_lowered_module_is_reported_too() -> None:
    mod = quake_tvm.QuAKE("quake4")(module(both, SHAPE))
    _, report = lowered(mod, method="quake2")
    assert [site.method for site in report.sites] == ["quake4", "quake4"]


@pytest.mark.parametrize(
    "disabled", [[], ["FoldConstant"], ["AlterOpLayout", "SimplifyExpr"]], ids=str
)
def test_disabled_passes_stay_disabled(disabled: list[str]) -> None:
    ran = Names()
    lowered(module(both, SHAPE), disabled_pass=disabled, instruments=[ran])
    assert not set(disabled) & set(ran.names)
    assert "QuAKE" in ran.names


def test_required_passes_run() -> None:
    ran = Names()
    with quake_tvm.PassContext(opt_level=1, required_pass=["FastMath"], instruments=[ran]):
        relay.build(module(both, SHAPE), target())
    assert "FastMath" in ran.names


class Names(PassInstrument):
    """A user's instrument that lists the passes that have run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def run_before_pass(self, mod, info) -> None:
        self.names.append(info.name)


def test_instrument_that_refuses_ours() -> None:
    @pass_instrument
    class Refuse:
        def should_run(self, mod, info):
            return info.name != "QuAKE"

    lib, report = lowered(module(both, SHAPE), instruments=[Refuse()])
    assert report.sites == []
    assert not [name for name in kernels(lib) if "quake" in name]


def test_config_of_the_user_stays() -> None:
    seen = []

    @tir.transform.prim_func_pass(opt_level=0)
    def see(function, mod, context):
        seen.append(str(function.attrs["global_symbol"]))
        assert context.config["tir.disable_vectorize"]
        return function

    config = {"tir.add_lower_pass": [(0, see)], "tir.disable_vectorize": True}
    before = dict(config)
    lib, _ = lowered(module(both, SHAPE), config=config)
    assert config == before
    assert {name.removeprefix("tvmgen_default_fused_") for name in seen} >= set(kernels(lib))


def test_kernels_of_the_report() -> None:
    """Sites of one operator in several kernels each have their own kernel in the report."""

    def formula(x: relay.Expr) -> relay.Expr:
        w = relay.const(random(40, 40))
        hidden = gelu(relay.nn.dense(x, w))
        return relay.nn.softmax(gelu(relay.sum(hidden, 1, keepdims=True) + x))

    lib, report = lowered(module(formula, SHAPE))
    assert [(site.operator, site.schedule) for site in report.sites] == [
        ("gelu", "nn.contrib_dense_pack"),
        ("gelu", "injective"),
        ("softmax", "rows"),
    ]
    names = [site.kernel.removeprefix("fused_") for site in report.sites]
    assert len(set(names)) == 3
    assert set(names) <= set(kernels(lib))


def test_kernels_of_sites_of_several_shapes() -> None:
    """The kernel of a site computes the site's shape, in whatever order TVM fuses kernels."""

    def formula(x: relay.Expr) -> relay.Expr:
        narrow = gelu(relay.sum(x, 1, keepdims=True))
        wide = gelu(relay.nn.dense(x, relay.const(random(24, 40))))
        return relay.Tuple([wide, narrow, gelu(x)])

    _, report = lowered(module(formula, SHAPE))
    rules = {site.shape: site.schedule for site in report.sites}
    assert rules.keys() == {"6x24", "6x1", "6x40"}
    assert rules["6x24"] == "nn.contrib_dense_pack"
    assert rules["6x40"] == "injective"


def test_half_precision_computes_in_float32() -> None:
    formula = lambda x: relay.nn.softmax(relay.sigmoid(x))  # noqa: E731
    lib, report = lowered(module(formula, SHAPE, dtype="float16"), method="quake4")
    assert operators(report) == ["sigmoid", "softmax"]
    x = random(*SHAPE).astype("float16")
    found, error = run(lib, x), quake_tvm.bound("softmax", "quake4", "float16")
    assert found.dtype == np.float16
    inner = 1 / (1 + np.exp(-x.astype("float64")))
    exact = np.exp(inner) / np.exp(inner).sum(1, keepdims=True)
    # An absolute error of sigmoid is a relative error of softmax, of both signs.
    most = error.relative + 2 * quake_tvm.bound("sigmoid", "quake4", "float16").relative
    assert np.all(np.abs(found.astype("float64") - exact) <= most * exact + error.absolute)


def test_other_dtypes_are_reported() -> None:
    dtype = "float64"
    _, report = lowered(module(lambda x: relay.nn.softmax(relay.tanh(x)), SHAPE, dtype=dtype))
    assert report.sites == []
    assert {(site.operator, site.dtype) for site in report.exact} == {
        ("tanh", dtype),
        ("softmax", dtype),
    }
    assert all(dtype in site.reason for site in report.exact)


def test_what_has_no_operator_is_reported() -> None:
    formula = lambda x: relay.sinh(x) + relay.nn.fast_softmax(relay.cosh(x))  # noqa: E731
    _, report = lowered(module(formula, SHAPE))
    assert sorted(site.operator for site in report.exact) == ["cosh", "nn.fast_softmax", "sinh"]


def test_report_as_text_and_json() -> None:
    _, report = lowered(module(both, SHAPE), skip=["softmax"])
    text = str(report)
    assert "1 lowered" in text
    assert "1 left exact" in text
    assert "in skip=" in text
    assert Report.from_json(report.to_json()) == report


def test_a_plan_gives_each_site_its_rung(tmp_path) -> None:
    sites = PlannedSite(1, "gelu", "6x40", "quake4"), PlannedSite(2, "softmax", "6x40", "exact")
    plan = Plan(sites, inside_kernels="quake1").save(tmp_path / "plan.toml")
    mod, x = module(both, SHAPE), random(*SHAPE)
    lib, report = lowered(mod, plan=plan)
    assert [(site.operator, site.method) for site in report.sites] == [("gelu", "quake4")]
    assert [site.reason for site in report.exact] == ["exact in the plan"]
    expected, _ = lowered(mod, method="quake4", skip=["softmax"])
    np.testing.assert_array_equal(run(lib, x), run(expected, x))


def test_a_plan_for_another_model() -> None:
    plan = Plan((PlannedSite(1, "softmax", "6x40", "quake4"),), inside_kernels="quake1")
    with pytest.raises(QuakeError, match="another model"):
        lowered(module(both, SHAPE), plan=plan)
