"""Constant weights become panels. The product keeps its bits and can be fused as before."""

from functools import partial

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.kernels.bfloat16_products import halves, pair_term
from quake_tvm.machines.targets import target
from quake_tvm.numerics.bfloat16_pairs import packed_rows
from quake_tvm.passes.relax.pack_weights import PackWeights, packed_matmul
from quake_tvm.passes.relax.pipeline import pipeline
from tests.helpers import module, once, run

W = np.random.default_rng(0).normal(size=(24, 96)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(2, 17, 24)).astype(np.float32)
nn, op = relax.op.nn, relax.op


def product(x):
    return op.matmul(x, relax.const(W))


def pairs_of_half(key, _):
    return 48 if key.shape[-2:] == (96, 12) else None


def panels_of_48(key, _):
    return 48 if key.shape[-2] >= 48 else None


def test_constant_weight_becomes_panels():
    packed = np.ascontiguousarray(W.reshape(24, 2, 48).transpose(1, 0, 2))

    def expected(x):
        return relax.BlockBuilder.current().call_te(
            packed_matmul,
            x,
            relax.const(packed),
            96,
            primfunc_name_hint="matmul",
            primfunc_attrs={"op_pattern": 4},
        )

    after = PackWeights(panels_of_48)(module(product, X.shape))
    tvm.ir.assert_structural_equal(after, module(expected, X.shape))


def test_bfloat16_operands_are_paired():
    narrow_w = W.astype("bfloat16")

    packed = np.ascontiguousarray(packed_rows(W).reshape(12, 2, 48).transpose(1, 0, 2))

    def expected(x):
        builder = relax.BlockBuilder.current()
        narrow = builder.call_te(halves, x, primfunc_name_hint="halves")
        return builder.call_te(
            partial(packed_matmul, term=pair_term),
            once(narrow),
            relax.const(packed),
            96,
            primfunc_name_hint="matmul",
            primfunc_attrs={"op_pattern": 4},
        )

    def before(x):
        return op.matmul(x, relax.const(narrow_w), out_dtype="float32")

    after = PackWeights(pairs_of_half, "bfloat16")(module(before, X.shape))
    tvm.ir.assert_structural_equal(after, module(expected, X.shape))


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: op.matmul(x, op.permute_dims(x, [0, 2, 1])),
        lambda x: op.matmul(x, relax.const(W[:, :3])),
        lambda x: op.matmul(x, relax.const(W[None])),
        lambda x: nn.relu(x),
    ],
    ids=["no_constant", "no_panel_fits", "batched_weight", "no_product"],
)
def test_everything_else_stays(formula):
    mod = module(formula, X.shape)
    for precision in ("float32", "bfloat16"):
        tvm.ir.assert_structural_equal(PackWeights(panels_of_48, precision)(mod), mod)


def test_other_dtypes_stay():
    mod = module(
        lambda x: op.matmul(x, relax.const(W.astype(np.float16))), X.shape, dtype="float16"
    )
    tvm.ir.assert_structural_equal(PackWeights(panels_of_48)(mod), mod)


def test_bits_and_fusion_are_kept():
    mod = module(lambda x: nn.relu(once(product(x) + relax.const(W[0]))), X.shape)
    executable = tvm.compile(mod, target(), relax_pipeline=pipeline("native", method="exact"))
    machine = relax.VirtualMachine(executable, tvm.cpu())
    ours = machine["main"](tvm.runtime.tensor(X)).numpy()
    np.testing.assert_array_equal(ours, run(mod, X))
