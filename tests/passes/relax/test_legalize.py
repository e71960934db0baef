"""Only the named operators are legalized, wherever they are."""

import tvm
from tvm import relax

from quake_tvm.passes.relax.graph import Graph, op_name
from quake_tvm.passes.relax.legalize import legalize
from tests.helpers import module, once

op, nn = relax.op, relax.op.nn


def operators(mod):
    return [op_name(value) for value in Graph(mod["main"]).values.values()]


def rectified(_, call):
    return nn.relu(call.args[0])


def test_named_operators_only():
    mod = module(lambda x: nn.relu(op.exp(once(op.sqrt(x)))), (2, 3))
    after = legalize(mod, {"relax.exp": rectified, "relax.tanh": rectified})
    assert operators(after) == ["relax.sqrt", "relax.nn.relu", "relax.nn.relu"]


def test_every_function_of_the_module():
    one, two = module(op.exp, (2, 3)), module(lambda x: op.exp(nn.relu(x)), (4,))
    mod = tvm.IRModule({"main": one["main"], "other": two["main"]})
    after = legalize(mod, {"relax.exp": rectified})
    found = [[op_name(v) for v in Graph(f).values.values()] for _, f in after.functions_items()]
    assert sorted(found) == [["relax.nn.relu"], ["relax.nn.relu", "relax.nn.relu"]]


def test_returned_call_stays():
    mod = module(op.exp, (2, 3))
    tvm.ir.assert_structural_equal(legalize(mod, {"relax.exp": lambda _, call: call}), mod)


def test_module_without_them_is_returned():
    mod = module(op.exp, (2, 3))
    assert legalize(mod, {"relax.tanh": rectified}).same_as(mod)
