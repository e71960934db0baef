"""The kernels of a model: each one once, with its number of calls and the task that it shares."""

from tvm import relax

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.tuning.kernels import kernels
from quake_tvm.tvm_version import tir
from tests.helpers import module, once
from tests.tuning.fakes import dense, product, softmax, tasks_of

op = relax.op


def layers(*activations):
    """Products of one shape, each followed by its own activation."""

    def network(x):
        for activation in activations:
            x = once(activation(dense(x, 8, 8)))
        return x

    return module(network, (4, 8))


def calls(*mods):
    return {str(t.key): [k.calls for k in t.kernels] for t in tasks_of(*mods)}


def test_equal_layers_are_one_kernel():
    assert calls(layers(*[op.nn.gelu] * 3)) == {"matmul 4x8x8": [3]}


def test_models_share_kernels():
    assert calls(product(), softmax(), product(), product()) == {
        "matmul 8x16x8": [3],
        "softmax 32x64": [1],
    }


def test_epilogues_share_a_task():
    (task,) = tasks_of(layers(op.nn.gelu, op.nn.silu, op.nn.gelu))
    assert [kernel.calls for kernel in task.kernels] == [2, 1]
    assert [str(site) for kernel in task.kernels for site in kernel.sites] == [
        "gelu 4x8",
        "silu 4x8",
    ]


def test_a_kernel_keeps_the_name_of_its_first_model():
    behind = module(lambda x: op.nn.softmax(once(op.nn.softmax(x))), (32, 64))
    (task,) = tasks_of(softmax(), behind)
    assert [(k.name, k.calls) for k in task.kernels] == [("quake_softmax", 3)]


def test_views_cost_nothing():
    def reshaped(x):
        return op.nn.softmax(once(op.reshape(x, (32, 64))))

    assert calls(module(reshaped, (2, 16, 64))) == {"softmax 32x64": [1]}


def test_kernels_of_unknown_shape_are_left_out():
    n = tir.Var("n", "int64")
    mod = module(lambda x, y: (op.nn.softmax(x), op.nn.softmax(y)), (n, 64), (32, 64))
    assert calls(mod) == calls(softmax())
    assert not tasks_of(module(op.nn.softmax, (n, 64)))


def test_a_kernel_without_choices_counts():
    by_key = {task.key: task for task in tasks_of(module(lambda x: op.cumsum(x, 1), (32, 64)))}
    assert list(by_key) == [None]
    assert [kernel.calls for kernel in by_key[None].kernels] == [1]


def test_sites_have_the_names_of_the_report():
    mod = layers(op.nn.gelu, lambda x: op.nn.softmax(once(op.nn.silu(x))))
    report = quake_tvm.compile(mod, records=False).report
    told = {(site.operator, site.shape, site.kernel) for site in report.sites}
    assert told == {
        (site.operator, site.shape, kernel.name)
        for kernel in kernels(mod, target(), Options.parse())
        for site in kernel.sites
    }
    assert len(told) == 3


def test_a_kernel_is_its_code():
    """A kernel with other weights is the same kernel. On another rung it is another one."""

    def hashes(**options):
        return [k.hash for task in tasks_of(product(), **options) for k in task.kernels]

    assert hashes() == hashes()
    assert hashes() != hashes(method="quake3")
