"""The operator ``quake.recurrent`` in Relax: all steps of an LSTM, a GRU or an RNN.

Importers write it and a pass lowers it. Its operands are those of :func:`.recurrent.recurrent`, but
the recurrent weights are one tensor (direction, gate * unit, unit), as in ONNX, and those of a
projection, if there is one, a second tensor (direction, unit of the result, unit). With the option
``bytes`` the weights are int8, and what follows them is their factors (direction, gate * unit). The
attribute ``layer`` has the kernel's options as JSON: what the layer computes, not how.
"""

import json
from typing import Any

import tvm
from tvm import relax

from ..tvm_version import make_attrs, register_op
from .recurrent_cells import Cell, cell

RECURRENT = "quake.recurrent"
# Options of the layer that are not the cell's.
_LOOPS = ("reverse", "lengths", "batch_first", "bytes")


def recurrent(x: relax.Expr, weights: relax.Expr, *rest: relax.Expr, **layer: Any) -> relax.Call:
    """A call of the operator: the result of all steps, and the states after the last one."""
    attrs = make_attrs(layer=json.dumps(layer))
    return relax.Call(tvm.ir.Op.get(RECURRENT), [x, weights, *rest], attrs)


def recurrent_calls(function: relax.Function) -> list[relax.Call]:
    """The calls of the operator in a function, in branches too."""
    found: list[relax.Call] = []

    def see(expression: relax.Expr) -> None:
        if isinstance(expression, relax.Call) and expression.op == tvm.ir.Op.get(RECURRENT):
            found.append(expression)

    relax.analysis.post_order_visit(function.body, see)
    return found


def layer_of(call: relax.Call) -> dict[str, Any]:
    """The options of a call."""
    return json.loads(str(call.attrs["layer"]))


def cell_of(layer: dict[str, Any]) -> Cell:
    """The cell of a layer with these options."""
    return cell(**{name: value for name, value in layer.items() if name not in _LOOPS})


def sources(made: Cell) -> int:
    """How many operands the parts' recurrent weights are: gates share one, a projection has one."""
    return 1 + sum(part.projects for part in made.parts)


def states_of(call: relax.Call) -> list[relax.Expr]:
    """The states before the first step."""
    layer = layer_of(call)
    made = cell_of(layer)
    first = 1 + sources(made) + bool(layer.get("bytes")) + len(made.weights)
    return list(call.args[first : first + made.states])


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    states = [state.ty for state in states_of(call)]
    outer, (directions, _rows, units) = list(call.args[0].ty.shape)[:2], states[0].shape
    result = relax.TensorType([*outer, directions, units], states[0].dtype)
    return relax.TupleType([result, *states])


if RECURRENT not in tvm.ir.Op.list_op_names():
    register_op(RECURRENT, "all steps of a recurrent layer")
    tvm.ir.register_op_attr(RECURRENT, "FInferType", _infer_type)
    tvm.ir.register_op_attr(RECURRENT, "FPurity", True)
