"""Constant int8 matrices become panels of groups. Rows of the other kind of bytes are shifted."""

from functools import partial

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.kernels.byte_products import group_term, shifted
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.numerics.byte_dots import FORMATS
from quake_tvm.passes.relax.call_written_out import call_written_out
from quake_tvm.passes.relax.pack_byte_weights import PackByteWeights
from quake_tvm.passes.relax.pack_weights import packed_matmul
from tests.helpers import module, once

W = np.random.default_rng(0).integers(-127, 128, (22, 96)).astype(np.int8)
ROWS = (2, 17, 22)
op = relax.op


def panels_of_48(key, rows):
    assert key.dtype == "int32"
    return 48 if key["columns"] >= 48 and rows == 17 else None


def product(x, w=W, dtype="int32"):
    return op.matmul(x, relax.const(w), out_dtype=dtype)


def groups(x, form):
    kernel = KernelSpec("byte_groups", {"left": form.left})
    result = relax.TensorType((2, 17, -(-22 // form.group)), "int32")
    return once(call_written_out(relax.BlockBuilder.current(), "byte_groups", kernel, [x], result))


def multiplied(x, form, shift, w=W):
    """The legalized product of groups x."""
    packed = form.grouped_rows(w)
    packed = np.ascontiguousarray(packed.reshape(-1, 2, 48).transpose(1, 0, 2))
    constants = [-shift * w.sum(0, np.int32)] if shift else []

    def formula(x, packed, *constants):
        sums = packed_matmul(x, packed, 96, partial(group_term, form))
        return shifted(sums, *constants) if constants else sums

    return relax.BlockBuilder.current().call_te(
        formula,
        x,
        *map(relax.const, (packed, *constants)),
        primfunc_name_hint="matmul",
        primfunc_attrs={"op_pattern": 4},
    )


SHIFTS = {("uint8", "int8"): -128, ("int8", "uint8"): 128}


@pytest.mark.parametrize("form", FORMATS, ids=[form.name for form in FORMATS])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_constant_matrix_becomes_panels(dtype, form):
    after = PackByteWeights(panels_of_48, [form])(module(product, ROWS, dtype=dtype))
    shift = SHIFTS.get((dtype, form.left), 0)
    wanted = module(lambda x: multiplied(groups(x, form), form, shift), ROWS, dtype=dtype)
    tvm.ir.assert_structural_equal(after, wanted)


def test_products_of_one_operand_share_its_groups():
    form, other = FORMATS[0], W[::-1]

    def before(x):
        return once(product(x)), once(product(x, other))

    def wanted(x):
        rows = groups(x, form)
        return once(multiplied(rows, form, 128)), once(multiplied(rows, form, 128, other))

    after = PackByteWeights(panels_of_48, [form])(module(before, ROWS, dtype="int8"))
    tvm.ir.assert_structural_equal(after, module(wanted, ROWS, dtype="int8"))


@pytest.mark.parametrize(
    ("formula", "dtype"),
    [
        (lambda x: op.matmul(x, op.permute_dims(x, [0, 2, 1]), out_dtype="int32"), "int8"),
        (lambda x: product(x, W[:, :3]), "int8"),
        (lambda x: product(x, W[None]), "int8"),
        (lambda x: product(x, W.astype("int32")), "int32"),
        (lambda x: product(x, W.astype("uint8")), "uint8"),
        (lambda x: product(x, W.astype("float32"), ""), "float32"),
    ],
    ids=["no_constant", "no_panel_fits", "batched_weight", "int32", "uint8_weight", "float32"],
)
def test_everything_else_stays(formula, dtype):
    mod = module(formula, ROWS, dtype=dtype)
    tvm.ir.assert_structural_equal(PackByteWeights(panels_of_48, FORMATS[:1])(mod), mod)
