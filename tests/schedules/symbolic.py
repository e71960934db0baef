"""Kernels of symbolic extents, scheduled and as plain loops, run at many sizes between guards."""

import tvm
from tvm import sym, te

from quake_tvm.machines.targets import target
from quake_tvm.schedules import RULE, schedule
from quake_tvm.schedules.fence import fence_products
from quake_tvm.schedules.tiles import substituted
from quake_tvm.tvm_version import tir
from tests.schedules.kernels import RNG
from tests.schedules.sweep import Guarded

# Around the widths of vectors and the heights of tiles, and the threshold of copies.
SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 100, 127, 128, 129)


def variables(names, dtype="int64"):
    """Symbolic extents, one for each letter."""
    return [te.var(name, dtype=dtype) for name in names]


def sized(*shape, name="x", dtype="float32"):
    """A placeholder whose constant extents are int64, as in Relax."""
    extents = [tir.const(n, "int64") if isinstance(n, int) else n for n in shape]
    return te.placeholder(extents, dtype, name)


def mixed(count, sizes=SIZES):
    """Each size for all extents, and as many mixtures of them, the same in each run."""
    columns = [RNG(seed).permutation(sizes) for seed in range(count)]
    alike = [(n,) * count for n in sizes]
    return alike + ([tuple(map(int, row)) for row in zip(*columns, strict=True)] * (count > 1))


class Symbolic:
    """A kernel over symbolic extents."""

    def __init__(self, extents, inputs, results, name="x86-64-v3", given=None):
        self.extents, self.inputs, self.given = extents, inputs, given or {}
        self.results = results if isinstance(results, list) else [results]
        function = te.create_prim_func([*inputs, *self.results])
        self.scheduled = schedule(function, target(name))
        self.rule = str(self.scheduled.attrs[RULE])
        forms = {"ours": self.scheduled, "plain": fence_products(function)}
        module = {each: form.with_attr("global_symbol", each) for each, form in forms.items()}
        self.library = tvm.compile(tvm.IRModule(module), target=target(name))

    def shape(self, tensor, sizes):
        """A tensor's shape at these sizes."""
        pairs = [
            (extent, tir.const(size, str(extent.ty.dtype)))
            for extent, size in zip(self.extents, sizes, strict=True)
        ]
        total = (tir.Add(n, tir.const(0, str(n.ty.dtype))) for n in tensor.shape)
        return [int(sym.Analyzer().simplify(substituted(n, pairs))) for n in total]

    def arrays(self, sizes):
        """An array for each input."""
        for n, each in enumerate(self.inputs):
            shape = self.shape(each, sizes)
            random = (RNG(n).normal(size=shape) * 9).astype(str(each.dtype))
            yield self.given.get(each.op.name, random)

    def run(self, form, sizes):
        """The results at these sizes, whose guards are unchanged."""
        inputs = [Guarded(array.shape, array.dtype, 255) for array in self.arrays(sizes)]
        for guarded, array in zip(inputs, self.arrays(sizes), strict=True):
            guarded.array[...] = array
        fill = 90 if form == "ours" else 165
        results = [Guarded(self.shape(r, sizes), str(r.dtype), fill) for r in self.results]
        self.library[form](*[_tensor(each) for each in [*inputs, *results]])
        assert all(each.whole for each in [*inputs, *results]), f"writes outside: {sizes}"
        return [each.array for each in results]

    def check(self, every):
        """Check that both forms have the same bits at all these sizes."""
        for sizes in every:
            ours, plain = (self.run(form, sizes) for form in ("ours", "plain"))
            wrong = [n for n, both in enumerate(zip(ours, plain, strict=True)) if _differ(*both)]
            assert not wrong, f"{self.rule}: result {wrong} at {sizes}"


def _tensor(guarded):
    """An array as a tensor. An array without elements has strides that TVM does not accept."""
    array = guarded.array
    return guarded.tensor() if array.size else tvm.runtime.empty(array.shape, str(array.dtype))


def _differ(a, b):
    return a.tobytes() != b.tobytes()
