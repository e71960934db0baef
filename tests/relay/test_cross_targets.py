"""LLVM's targets: every operator builds, with the target's vectors and fma, without libm."""

import re

import numpy as np
import pytest
import tvm
from tvm import relay

import quake_tvm
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.passes.relay import lower  # noqa: F401
from quake_tvm.passes.relay.ops import call

from .modules import module

# Without FMA a fused product is computed in float64.
SSE, AVX = r"\b(?:add|mul|sub)p[sd]\b.*%xmm", r"\bvfn?m\w+ps\b.*%[yz]mm"
NEON, ARMV7 = r"\bfml[as]\s+v\d+\.4s", r"\bvfm[as]\.f32\s+q"
# For quake1's softmax, which has no sum that fuses with the products.
PRODUCTS = r"\bv?mulp[sd]\b.*%[xyz]mm|\bfmul\s+v\d+\.4s|\bvmul\.f32\s+q"
# The target and its assembly: fma in vectors, or other arithmetic if the target has no fma.
TARGETS = {
    "llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v2": SSE,
    "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512": AVX,
    "llvm -mtriple=armv7l-linux-gnueabihf -mfloat-abi=hard -mattr=+neon,+vfp4": ARMV7,
    "x86-64-v3": AVX,
    "aarch64": NEON,
    "raspberry-pi-4": NEON,
}
LIBM = re.compile(
    r"\b(?:callq?|jmp|bl?)\s+(?:expf?|exp2f?|expm1f?|logf?|log1pf?|erff?|tanhf?|fmaf?|powf?)\b"
)
ROWS = {"softmax": {"axis": 1}, "log_softmax": {"axis": 1}, "logsumexp": {"axis": 1, "keepdims": 0}}


def target(name):
    return quake_tvm.target(name) if name in quake_tvm.targets() else tvm.target.Target(name)


def assembly(operator, method, name):
    attributes = ROWS.get(operator) or OPERATORS[operator].parameters

    def formula(x):
        return call(operator, x, method=method, ieee=1, source="", **attributes)

    with tvm.transform.PassContext(opt_level=3):
        lib = relay.build(module(formula, (64, 128)), target(name))
    return lib.get_lib().get_source("asm")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("method", ["quake1", "quake2"])
def test_kernels_are_vectors_of_the_target(method, operator, name):
    asm = assembly(operator, method, name)
    assert not LIBM.search(asm)
    unfused = (method, operator) == ("quake1", "softmax")
    assert re.search(PRODUCTS if unfused else TARGETS[name], asm)


@pytest.mark.parametrize("name", [name for name in TARGETS if "llvm" not in name])
def test_named_targets_have_the_keys_of_their_schedules(name):
    arm = not name.startswith("x86")
    assert list(target(name).keys) == (["arm_cpu", "cpu"] if arm else ["cpu"])


@pytest.mark.parametrize("name", TARGETS)
def test_network(name):
    """Convolution, product and their fused consumers, built as users would."""

    def net(x):
        weights = (np.random.default_rng(0).normal(size=s) for s in [(8, 3, 3, 3), (10, 8)])
        kernel, dense = (relay.const(w.astype(np.float32)) for w in weights)
        x = relay.nn.conv2d(x, kernel, padding=1, channels=8, kernel_size=(3, 3))
        pooled = relay.mean(x * relay.sigmoid(x), axis=[2, 3])
        return relay.nn.softmax(relay.nn.dense(pooled, dense))

    with quake_tvm.PassContext(opt_level=3, method="quake2") as context:
        lib = relay.build(module(net, (1, 3, 12, 12)), target(name))
    assert [site.operator for site in context.report.sites] == ["silu", "softmax"]
    assert not LIBM.search(lib.get_lib().get_source("asm"))
