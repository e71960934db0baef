"""The kernel of each site."""

import json
from itertools import pairwise

import pytest
import tvm
from tvm import relax
from tvm.relax.op import matmul, nn

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.passes.lower_tir import SITES
from quake_tvm.passes.relax import site_numbers
from quake_tvm.passes.relax.graph import extents_text, kernel_calls
from quake_tvm.passes.relax.merge_kernels import MergeKernels
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.planning.placement import placement
from quake_tvm.tuning.kernels import kernels
from quake_tvm.tvm_version import tir
from tests.helpers import module, once
from tests.planning.models import hidden, network, weights


def layers(*widths: int, rows: int = 4) -> tvm.IRModule:
    """A product followed by GELU for each pair of widths."""

    def formula(x):
        for k, n in pairwise(widths):
            x = once(nn.gelu(once(matmul(x, weights(k, n)))))
        return x

    return module(formula, (rows, widths[0]))


def by_shape(mod: tvm.IRModule, **options) -> list[tuple[str, str, str]]:
    """(operator, shape, kernel) of each site. Checks that the kernel's result has that shape."""
    report = quake_tvm.compile(mod, **options).report
    return [(site.operator, site.shape, site.kernel) for site in report.sites]


def test_sites_of_one_operator_in_kernels_of_several_shapes():
    sites = by_shape(layers(32, 48, 32, 64), method="quake2")
    assert [shape for _, shape, _ in sites] == ["4x48", "4x32", "4x64"]
    assert len({kernel for *_, kernel in sites}) == 3


def test_equal_layers_share_a_kernel():
    sites = by_shape(layers(32, 32, 32, 32), method="quake2")
    assert len(sites) == 3
    assert len({kernel for *_, kernel in sites}) == 1


def test_a_site_that_is_not_fused_is_in_its_own_kernel():
    """One GELU of each shape, and one after a product."""

    def formula(x, y):
        return relax.Tuple(
            [once(nn.gelu(once(matmul(x, weights(32, 48))))), once(nn.gelu(x)), once(nn.gelu(y))]
        )

    sites = by_shape(module(formula, (4, 32), (4, 48)), method="quake3")
    found = {(shape, "matmul" in kernel) for _, shape, kernel in sites}
    assert found == {("4x48", True), ("4x32", False), ("4x48", False)}


def test_rungs_are_filed_under_the_shapes_of_their_kernels():
    """With ``max_error`` the time of a rung is stored by operator and shape."""
    for kernel in kernels(layers(32, 48, 32), target(), Options.parse(max_error=1e-3)):
        result = extents_text(kernel.function.params[-1].ty.shape)
        assert [site.shape for site in kernel.sites] == [result]


def test_merging_leaves_what_is_built_without_numbers():
    """The merged kernels equal those of a module whose sites were never numbered, in its order."""

    merge = MergeKernels()

    def kernels_of(numbered: bool) -> list[tir.PrimFunc]:
        with target():
            passes = Pipeline(target(), Options.parse("quake2"))
            mod = passes.upto("lower")(network())
            if not numbered:
                mod = without_numbers(merge(mod))
            mod = merge(passes.between("fuse", "fuse")(mod))
        names = dict.fromkeys(call.args[0].name_hint for call in kernel_calls(mod["main"]))
        return [without_numbers(mod)[name] for name in names]

    def without_numbers(mod: tvm.IRModule) -> tvm.IRModule:
        functions = {
            name: f.without_attr(site_numbers.NUMBERS) if isinstance(f, tir.PrimFunc) else f
            for name, f in mod.functions_items()
        }
        return tvm.IRModule(functions)

    numbered, plain = kernels_of(True), kernels_of(False)
    assert len(numbered) == len(plain)
    for a, b in zip(numbered, plain, strict=True):
        tvm.ir.assert_structural_equal(
            a.without_attr("global_symbol"), b.without_attr("global_symbol")
        )


def test_sites_inside_a_kernel_are_found():
    sites = quake_tvm.compile(hidden(), method="quake4").report.sites
    assert {site.operator for site in sites} == {"exp", "gelu"}
    assert all(site.kernel and site.schedule for site in sites)
    where = placement(hidden(), target(), "quake4")
    assert where.sites.keys() == {1}


@pytest.mark.parametrize("model", [network, hidden])
def test_a_module_lowered_by_the_pass_alone_is_reported(model):
    lowered = quake_tvm.QuAKE(method="quake3")(model())
    sites = quake_tvm.compile(lowered, method="exact").report.sites
    assert sites
    assert all(site.kernel for site in sites)


def test_no_number_is_left_in_a_mark():
    with target():
        mod = Pipeline(target(), Options.parse("quake2")).upto("fuse")(network())
    merged = MergeKernels()(mod)
    marks = [
        mark
        for _, f in merged.functions_items()
        if isinstance(f, tir.PrimFunc) and SITES in f.attrs
        for mark in json.loads(str(f.attrs[SITES]))
    ]
    assert marks
    assert not any("site" in mark for mark in marks)
