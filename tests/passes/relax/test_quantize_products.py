"""Float products with constant matrices become products of bytes, with one scale for each row."""

from functools import partial

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.kernels.byte_product_operator import byte_product
from quake_tvm.kernels.byte_products import dequantized, group_term
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.numerics.byte_dots import FORMATS
from quake_tvm.passes.relax.call_written_out import call_written_out
from quake_tvm.passes.relax.pack_weights import packed_matmul
from quake_tvm.passes.relax.quantize_products import QuantizeProducts, quantized_columns
from tests.helpers import module, once

RNG = np.random.default_rng(0)
W = RNG.normal(size=(22, 96)).astype(np.float32)
ROWS = (2, 17, 22)
op, nn = relax.op, relax.op.nn
FORM = FORMATS[0]


def panels_of_48(key, rows):
    assert key.dtype == "int32"
    return 48 if key["columns"] >= 48 and rows == 17 else None


def quantized(x):
    builder = relax.BlockBuilder.current()
    kernel = KernelSpec("quantized_rows", {"left": FORM.left}, results=3)
    shapes = ((2, 17, 6), "int32"), ((2, 17), "float32"), ((2, 17), "int32")
    result = relax.TupleType([relax.TensorType(*each) for each in shapes])
    made = once(call_written_out(builder, "quantized_rows", kernel, [x], result))
    return [once(relax.TupleGetItem(made, n)) for n in range(3)]


def multiplied(groups, scales, zeros, w=W, given=None):
    weights, factors = given or quantized_columns(w)
    packed = FORM.grouped_rows(weights).reshape(6, 2, 48).transpose(1, 0, 2)

    def formula(groups, matrix, *rest):
        return dequantized(packed_matmul(groups, matrix, 96, partial(group_term, FORM)), *rest)

    return relax.BlockBuilder.current().call_te(
        formula,
        groups,
        relax.const(np.ascontiguousarray(packed)),
        scales,
        zeros,
        relax.const(factors),
        relax.const(weights.sum(0, np.int32)),
        primfunc_name_hint="matmul",
        primfunc_attrs={"op_pattern": 4},
    )


def test_a_product_is_quantized():
    after = QuantizeProducts(panels_of_48, [FORM])(
        module(lambda x: op.matmul(x, relax.const(W)), ROWS)
    )
    wanted = module(lambda x: multiplied(*quantized(x)), ROWS)
    tvm.ir.assert_structural_equal(after, wanted)


@pytest.mark.parametrize("floats", [False, True])
def test_a_product_with_bytes(floats):
    """Its weights and their factors stay as they are."""
    weights = RNG.integers(-127, 128, W.shape).astype(np.int8)
    factors = RNG.uniform(size=96).astype(np.float32)
    given = relax.const(weights), relax.const(factors)
    mod = module(lambda x: byte_product(x, *given), ROWS)
    wanted = module(lambda x: multiplied(*quantized(x), given=(weights, factors)), ROWS)
    after = QuantizeProducts(panels_of_48, [FORM], floats)(mod)
    tvm.ir.assert_structural_equal(after, wanted)


def test_floats_stay_where_only_bytes_are_meant():
    mod = module(lambda x: op.matmul(x, relax.const(W)), ROWS)
    after = QuantizeProducts(panels_of_48, [FORM], floats=False)(mod)
    tvm.ir.assert_structural_equal(after, mod)


def test_products_of_one_operand_share_its_bytes():
    def before(x):
        return once(op.matmul(x, relax.const(W))), once(op.matmul(x, relax.const(2 * W)))

    def wanted(x):
        rows = quantized(x)
        return once(multiplied(*rows)), once(multiplied(*rows, 2 * W))

    after = QuantizeProducts(panels_of_48, [FORM])(module(before, ROWS))
    tvm.ir.assert_structural_equal(after, module(wanted, ROWS))


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: op.matmul(x, op.permute_dims(x, [0, 2, 1])),
        lambda x: op.matmul(x, relax.const(W[:, :3])),
        lambda x: op.matmul(x, relax.const(W[None])),
        lambda x: op.matmul(x, relax.const(np.where(W > 2, np.inf, W))),
        lambda x: nn.relu(x),
    ],
    ids=["no_constant", "no_panel_fits", "batched_weight", "infinite", "no_product"],
)
def test_everything_else_stays(formula):
    mod = module(formula, ROWS)
    tvm.ir.assert_structural_equal(QuantizeProducts(panels_of_48, [FORM])(mod), mod)


def test_columns():
    w = RNG.normal(size=(50, 4)).astype(np.float32) * np.float32([1, 1e-20, 1e20, 0])
    w[0, 1] = 3e-45
    q, factors = quantized_columns(w)
    assert np.abs(q).max() == 127
    assert (factors > 0).all()
    assert (np.abs(q * factors.astype(np.float64) - w) <= 0.5001 * factors).all()
    tiny, factor = quantized_columns(np.full((2, 1), 1e-45, np.float32))
    assert not tiny.any()
    assert factor[0] == np.finfo(np.float32).tiny
