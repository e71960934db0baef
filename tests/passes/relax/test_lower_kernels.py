"""TVM's lowering of kernels without the pass that has nothing to do."""

import numpy as np
import tvm
import tvm_ffi
from tvm import te
from tvm.script import tirx as T

from quake_tvm.machines.targets import target
from quake_tvm.passes.relax import lower_kernels


def written_out():
    """A kernel that allocates four elements and uses two."""

    @T.prim_func(s_tir=True)
    def kernel(x_: T.handle, y_: T.handle):
        x = T.match_buffer(x_, (2,))
        y = T.match_buffer(y_, (2,))
        with T.sblock("kernel"):
            T.reads()
            T.writes()
            some = T.alloc_buffer((4,))
            for i in range(2):
                some[i] = x[i] + x[i]
            for j in range(2):
                y[j] = some[j]

    return kernel


def tiled():
    """A kernel of which a schedule computes an intermediate row by row."""
    x = te.placeholder((8, 64), name="x")
    double = te.compute((8, 64), lambda i, j: x[i, j] + x[i, j], "double")
    y = te.compute((8, 64), lambda i, j: double[i, j] * double[i, 63 - j], "y")
    sch = tvm.s_tir.Schedule(te.create_prim_func([x, y]))
    sch.compute_at(sch.get_sblock("double"), sch.get_loops(sch.get_sblock("y"))[0])
    return sch.mod["main"]


def allocated(function):
    """The elements of each buffer that is left after lowering."""
    passes, _, _ = lower_kernels.lowering()
    with target("native"):
        named = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
        bound = tvm.tirx.transform.BindTarget(tvm.target.Target.current().with_host("llvm"))(named)
        lowered = passes(bound)["main"]
    found = []

    def see(node):
        found.append([int(n) for n in node.buffer.shape])

    tvm_ffi.structural_walk(lowered.body, (tvm.tirx.AllocBuffer, see))
    return found


def test_buffers_of_a_schedule_shrink():
    assert allocated(tiled()) == [[64]]


def test_buffers_of_written_out_kernels_are_as_large_as_they_say():
    assert allocated(written_out()) == [[4]]


def test_a_module_of_both_is_compiled():
    module = tvm.IRModule({"a": tiled(), "b": written_out()})
    module = {
        name: f.with_attr("global_symbol", name.name_hint) for name, f in module.functions_items()
    }
    built = tvm.compile(tvm.IRModule(module), target("native"), tir_pipeline=lower_kernels.NAME)
    x = np.arange(512, dtype=np.float32).reshape(8, 64)
    y = tvm.runtime.tensor(np.zeros_like(x))
    built["a"](tvm.runtime.tensor(x), y)
    np.testing.assert_array_equal(y.numpy(), 2 * x * 2 * x[:, ::-1])
    z = tvm.runtime.tensor(np.zeros(2, np.float32))
    built["b"](tvm.runtime.tensor(x[0, :2].copy()), z)
    np.testing.assert_array_equal(z.numpy(), 2 * x[0, :2])
