"""The machine code of every lowered kernel: no call to libm, full vectors, no scalar loops."""

import itertools
import re

import pytest
import tvm
from tvm import te

from quake_tvm.kernels import compute
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.schedules import schedule

LIBM = re.compile(
    r"\b(?:callq?|jmpq?|blx?|b)\s+_?"
    r"(?:(?:exp|exp2|expm1|log|log1p|tanh|erf|erfc|pow|fma|fmax|fmin)f?|fmaximumf?|fminimumf?)\b"
)
# For each target, arithmetic on whole vectors of floats and on single floats.
MACHINES = {
    "x86-64-v3": (r"\bvf?n?m?(?:add|mul|sub)\w*ps\b.*ymm", r"\bvf?n?m?(?:add|mul|sub)\w*ss\b"),
    "x86-64-v4": (r"\bvf?n?m?(?:add|mul|sub)\w*ps\b.*zmm", r"\bvf?n?m?(?:add|mul|sub)\w*ss\b"),
    "aarch64": (
        r"\bf(?:add|sub|mul|mla|mls|max|min)\s+v\d+\.4s",
        r"\bf(?:n?m?add|n?m?sub|n?mul|div|max|min|cvt\w+)\s+s\d+",
    ),
    "armv7": (
        r"\bv(?:add|sub|mul|fma|fms|max|min)\.f32\s+q\d+",
        r"\bv(?:add|sub|n?mul|n?ml[as]|fn?m[as]|div|max\w*|min\w*|cvt)\.\w+(?:\.\w+)?\s+s\d+",
    ),
}
# The last steps of a maximum and of a sum, and a quotient or a logarithm.
ONCE_A_ROW = 16
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]


def assembly(output, inputs, name):
    function = te.create_prim_func([*inputs, output])
    kernel = tvm.compile(schedule(function, target(name)), target=target(name))
    return kernel.mod.inspect_source("asm")


def check(asm, name):
    vectors, _ = MACHINES[name]
    assert not LIBM.search(asm)
    assert re.search(vectors, asm)


def scalars(asm, name):
    """The number of instructions on single floats in the kernel, not counting TVM's wrapper."""
    _, single = MACHINES[name]
    kernel = re.search(r"^main_compute_:$.*?^\.Lfunc_end", asm, re.MULTILINE | re.DOTALL)
    return len(re.findall(single, kernel.group()))


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize(
    ("operator", "method"),
    list(itertools.product([n for n, row in OPERATORS.items() if row.elementwise], METHODS)),
)
def test_elementwise(operator, method, name):
    x = te.placeholder((4096,), name="x")
    asm = assembly(compute.elementwise(x, operator, method), [x], name)
    check(asm, name)
    # The length is a multiple of the vector, so no scalar code is needed.
    assert scalars(asm, name) == 0


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("length", [128, 197])
@pytest.mark.parametrize(("operator", "method"), list(itertools.product(ROWS, METHODS)))
def test_rows(operator, method, length, name):
    x = te.placeholder((64, length), name="x")
    check(assembly(getattr(compute, operator)(x, method=method), [x], name), name)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("length", [197, 256, 1024])
@pytest.mark.parametrize("operator", ROWS)
def test_the_only_scalars_are_what_is_computed_once_a_row(operator, length, name):
    x = te.placeholder((64, length), name="x")
    asm = assembly(getattr(compute, operator)(x, method="quake2"), [x], name)
    assert scalars(asm, name) <= ONCE_A_ROW


@pytest.mark.parametrize("name", ["aarch64", "armv7"])
def test_arm_clamps_in_one_instruction(name):
    x = te.placeholder((4096,), name="x")
    asm = assembly(compute.elementwise(x, "exp", "quake2"), [x], name)
    kernel = asm[asm.index("main_compute_:") :].split(".Lfunc_end")[0]
    assert re.search(r"\bv?f?max", kernel)
    assert not re.search(r"\bf?vcg[te]|\bfcmg|\bbs?l\b|\bbi[ft]\b|\bv(bsl|bit|bif)", kernel)
