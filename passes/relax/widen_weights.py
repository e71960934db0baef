"""Widen the constant weights in half precision whose kernels do not."""

import numpy as np
import tvm
from tvm import relax

from quake_tvm.numerics.number_formats import HALVES
from quake_tvm.tvm_version import Pass

from .legalize import legalize
from .weights import PRODUCTS, product, weights_of


def _widened(_: relax.BlockBuilder, call: relax.Call) -> relax.Call:
    weights = weights_of(call)
    if weights is None or str(weights.ty.dtype) not in HALVES:
        return call
    return product(call, [call.args[0], relax.const(weights.value.numpy().astype(np.float32))])


@tvm.transform.module_pass(opt_level=0, name="WidenWeights")
class WidenWeights(Pass):
    """Make the weights of products float32. Runs after the passes that pack weights."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the products. Nothing else is changed."""
        return legalize(mod, dict.fromkeys(PRODUCTS, _widened))
