"""The machine code of relay.build has no call to libm, and uses full vectors."""

import platform
import re

import pytest
import tvm
from tvm import relay

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS

from .modules import Formula, build, gelu, module, quake, random, silu

LIBM = re.compile(
    r"\b(?:call|callq|jmp|jmpq|bl|b)\s+"
    r"_?(?:expf?|exp2f?|expm1f?|logf?|log1pf?|tanhf?|erff?|erfcf?|powf?|fmaf?)\b"
)
# Arithmetic on whole vectors, and the fused multiply-add, on which the bits depend.
VECTORS = {
    "x86": (r"\bv(?:add|mul|sub|max|min)ps\b.*[yz]mm", r"\bvf(?:n?m)(?:add|sub)\w*ps\b.*[yz]mm"),
    "arm": (r"\bf(?:add|mul|sub)\s+v\d+\.4s", r"\bfml[as]\s+v\d+\.4s"),
}
TARGETS = ["native", "x86-64-v3", "x86-64-v4", "aarch64"]
ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]


def assembly(lib: object) -> str:
    return lib.get_lib().get_source("asm")


def check(asm: str, on: str) -> None:
    assert not LIBM.search(asm)
    arm = on == "aarch64" or (on == "native" and platform.machine() == "aarch64")
    for pattern in VECTORS["arm" if arm else "x86"]:
        assert re.search(pattern, asm)


def all_rungs(operator: str, shape: tuple) -> tvm.IRModule:
    return module(
        lambda x: relay.Tuple([quake(x, operator, method=method) for method in METHODS]), shape
    )


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_elementwise(operator: str, on: str) -> None:
    asm = assembly(build(all_rungs(operator, (64, 64)), on=on))
    check(asm, on)
    # The length is a multiple of the vector, so no scalar code is needed.
    assert not re.search(r"\bvf(?:n?m)(?:add|sub)\w*ss\b", asm)


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("length", [128, 197])
@pytest.mark.parametrize("operator", ROWS)
def test_rows(operator: str, length: int, on: str) -> None:
    check(assembly(build(all_rungs(operator, (64, length)), on=on)), on)


def dense(x: relay.Expr) -> relay.Expr:
    return relay.nn.dense(x, relay.const(random(64, 64)))


def conv(x: relay.Expr) -> relay.Expr:
    weight = relay.const(random(16, 16, 3, 3))
    return relay.nn.conv2d(x, weight, padding=1, channels=16, kernel_size=3)


# TVM's untuned convolutions for ARM are scalar code, with any fused consumer.
@pytest.mark.parametrize("on", [name for name in TARGETS if name != "aarch64"])
@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        pytest.param(lambda x: relay.nn.softmax(gelu(dense(x))), (32, 64), id="dense"),
        pytest.param(lambda x: silu(conv(x)), (1, 16, 16, 16), id="conv"),
    ],
)
def test_fused(formula: Formula, shape: tuple, on: str) -> None:
    with quake_tvm.PassContext(opt_level=3):
        check(assembly(relay.build(module(formula, shape), target(on))), on)


def test_exact_build_does_call_libm() -> None:
    """Otherwise the tests above could not fail."""
    assert LIBM.search(assembly(build(module(gelu, (64, 64)))))
