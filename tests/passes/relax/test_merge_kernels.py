"""Kernels that are equal, but for how their extents are computed, become one."""

from tvm import relax, te, tirx

from quake_tvm.passes.relax.merge_kernels import MergeKernels
from quake_tvm.tvm_version import tir


def kernels_of(*formulas):
    """The kernels after merging: one ``y = f(x)`` for each (f, divisor of the extent)."""
    n = tirx.Var("n", "int64")
    builder = relax.BlockBuilder()
    sizes = [(n - 1) // divisor + 1 for _, divisor in formulas]
    inputs = [relax.Var(f"x{k}", relax.TensorType((m,), "float32")) for k, m in enumerate(sizes)]
    whole = relax.Var("whole", relax.TensorType((n,), "float32"))
    with builder.function("main", [whole, *inputs]):
        results = [
            builder.emit_te(lambda x, f=f: te.compute(x.shape, lambda i: f(x[i])), x)
            for (f, _), x in zip(formulas, inputs, strict=True)
        ]
        builder.emit_func_output(relax.Tuple(results))
    mod = MergeKernels()(builder.get())
    relax.analysis.well_formed(mod)  # raises
    return [f for _, f in mod.functions_items() if isinstance(f, tir.PrimFunc)]


def test_extents_that_are_computed_in_different_ways():
    assert len(kernels_of((lambda x: x + 1, 2), (lambda x: x + 1, 4))) == 1


def test_different_kernels_stay():
    assert len(kernels_of((lambda x: x + 1, 2), (lambda x: x + 2, 4))) == 2
