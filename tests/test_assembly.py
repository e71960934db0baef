"""The machine code of every lowered kernel: no call to libm, and full vectors."""

import itertools
import re

import pytest
import tvm
from tvm import te

from quake_tvm import compute
from quake_tvm.approximation import METHODS
from quake_tvm.named_targets import target
from quake_tvm.operators import OPERATORS
from quake_tvm.schedules import schedule

REGISTERS = {"x86-64-v3": "ymm", "x86-64-v4": "zmm"}
LIBM = re.compile(
    r"\b(call|callq|jmp|jmpq)\s+_?(expf?|exp2f?|expm1f?|logf?|log1pf?|tanhf?|erff?|erfcf?|powf?|fmaf?)\b"
)
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]


def assembly(output, inputs, name):
    function = te.create_prim_func([*inputs, output])
    kernel = tvm.compile(schedule(function, target(name)), target=target(name))
    return kernel.mod.inspect_source("asm")


def check(asm, name):
    assert not LIBM.search(asm)
    arithmetic = re.findall(r"\bvf?n?m?(?:add|mul|sub)\w*ps\b[^\n]*", asm)
    assert any(REGISTERS[name] in line for line in arithmetic)


@pytest.mark.parametrize("name", REGISTERS)
@pytest.mark.parametrize(
    ("operator", "method"),
    list(itertools.product([n for n, row in OPERATORS.items() if row.elementwise], METHODS)),
)
def test_elementwise(operator, method, name):
    x = te.placeholder((4096,), name="x")
    asm = assembly(compute.elementwise(x, operator, method), [x], name)
    check(asm, name)
    # Whole vectors only: an even length leaves nothing to do for scalars.
    assert not re.search(r"\bvfn?m(add|sub)\w*ss\b", asm)


@pytest.mark.parametrize("name", REGISTERS)
@pytest.mark.parametrize("length", [128, 197])
@pytest.mark.parametrize(("operator", "method"), list(itertools.product(ROWS, METHODS)))
def test_rows(operator, method, length, name):
    x = te.placeholder((64, length), name="x")
    check(assembly(getattr(compute, operator)(x, method=method), [x], name), name)
