"""LSTM, GRU and RNN: layers and cells. A cell is a layer of one step.

torch has other orders of gates than the operator ``quake.recurrent``, whose order is ONNX's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from tvm import relax

from ..recurrent import layer
from .converter import Context, converts, dims

op = relax.op
# The operators that have a converter here.
OPERATORS = (
    *(f"{name}.input" for name in ("gru", "lstm", "rnn_relu", "rnn_tanh")),
    *("gru_cell.default", "lstm_cell.default", "rnn_relu_cell.default", "rnn_tanh_cell.default"),
)


@dataclass(frozen=True)
class _Kind:
    """A kind of layer.

    Attributes
    ----------
    order : tuple of int
        torch's numbers of the gates, in the order of ONNX.
    functions : tuple of str
    options : dict
        The options of the operator.
    """

    name: str
    order: tuple[int, ...]
    functions: tuple[str, ...]
    options: dict[str, Any]


_LSTM = _Kind("lstm", (0, 3, 1, 2), ("sigmoid", "tanh", "tanh"), {})
_GRU = _Kind("gru", (1, 0, 2), ("sigmoid", "tanh"), {"reset_after": True})
_TANH, _RELU = (_Kind("rnn", (0,), (name,), {}) for name in ("tanh", "relu"))
_ATEN = torch.ops.aten
_KINDS = {
    _ATEN.lstm: _LSTM,
    **dict.fromkeys((_ATEN.gru, _ATEN.gru_cell), _GRU),
    **dict.fromkeys((_ATEN.rnn_tanh, _ATEN.rnn_tanh_cell), _TANH),
    **dict.fromkeys((_ATEN.rnn_relu, _ATEN.rnn_relu_cell), _RELU),
}
_TYPES = {torch.float32, torch.float16, torch.bfloat16}
# The weights of one direction: of the input, of the state, both biases if there are any, and those
# of the projection if there is one.
_Weights = Sequence[relax.Expr]


def takes(node: fx.Node) -> bool:
    """Whether a node of one of the operators can be converted: it has no float64.

    torch decomposes the others, a step after the other.
    """
    fakes = [each.meta["val"] for each in node.all_input_nodes]
    return all(fake.dtype in _TYPES for fake in fakes if isinstance(fake, torch.Tensor))


@converts("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input")
def _recurrent(
    c: Context,
    input: relax.Expr,
    hx: relax.Expr | list[relax.Expr],
    params: list[relax.Expr],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[relax.Expr]:
    _refuse_dropout(c, dropout, train)
    weights = _split(params, num_layers, bidirectional)
    states = list(hx) if isinstance(hx, list | tuple) else [hx]
    return _layers(c, _kind(c), input, states, weights, batch_first)


@converts("lstm_cell.default")
def _lstm_cell(
    c: Context,
    input: relax.Expr,
    hx: list[relax.Expr],
    w_ih: relax.Expr,
    w_hh: relax.Expr,
    b_ih: relax.Expr | None,
    b_hh: relax.Expr | None,
) -> list[relax.Expr]:
    return _step(c, _LSTM, input, hx, [w_ih, w_hh, b_ih, b_hh])


@converts("gru_cell.default", "rnn_tanh_cell.default", "rnn_relu_cell.default")
def _cell(
    c: Context,
    input: relax.Expr,
    hx: relax.Expr,
    w_ih: relax.Expr,
    w_hh: relax.Expr,
    b_ih: relax.Expr | None,
    b_hh: relax.Expr | None,
) -> relax.Expr:
    return _step(c, _kind(c), input, [hx], [w_ih, w_hh, b_ih, b_hh])[0]


def _kind(c: Context) -> _Kind:
    target: Any = c.node.target
    return _KINDS[target.overloadpacket]


def _refuse_dropout(c: Context, dropout: float, train: bool) -> None:
    if train and dropout:
        raise c.in_training()


def _split(params: list[relax.Expr], layers: int, bidirectional: bool) -> list[list[_Weights]]:
    """The weights of each layer, of each of its directions."""
    directions = 1 + bidirectional
    each = len(params) // (layers * directions)
    found: list[_Weights] = [params[k : k + each] for k in range(0, len(params), each)]
    return [found[k : k + directions] for k in range(0, len(found), directions)]


def _step(
    c: Context, kind: _Kind, x: relax.Expr, states: list[relax.Expr], weights: list
) -> list[relax.Expr]:
    given = [each for each in weights if each is not None]
    raised = [c.emit(op.expand_dims(each, 0)) for each in (x, *states)]
    _, *after = _layers(c, kind, raised[0], raised[1:], [[given]], False)
    return [c.emit(op.squeeze(state, [0])) for state in after]


def _layers(
    c: Context,
    kind: _Kind,
    x: relax.Expr,
    states: list[relax.Expr],
    weights: list[list[_Weights]],
    batch_first: bool,
) -> list[relax.Expr]:
    """Layers on top of each other: the result of the last one, and the states of all."""
    directions, ends = len(weights[0]), []
    for number, each in enumerate(weights):
        first = number * directions
        own = [
            c.emit(op.strided_slice(state, [0], [first], [first + directions])) for state in states
        ]
        x, *after = _layer(c, kind, x, own, each, batch_first)
        ends.append(after)
    joined = zip(*ends, strict=True)
    return [x, *(c.emit(op.concat(all_layers, 0)) for all_layers in joined)]


def _layer(
    c: Context,
    kind: _Kind,
    x: relax.Expr,
    states: list[relax.Expr],
    weights: list[_Weights],
    batch_first: bool,
) -> list[relax.Expr]:
    options, projection = dict(kind.options), list[relax.Expr]()
    if len(weights[0]) % 2:  # the projection's weights have no bias
        options["projected"] = True
        projection = [_stacked(c, [each[-1] for each in weights])]
        weights = [each[:-1] for each in weights]
    of_input, of_state, *biases = (_together(c, kind, each) for each in zip(*weights, strict=True))
    bias: relax.Expr | None = None
    further: list[relax.Expr] = []
    if biases:
        bias, further = _biases(c, kind, *biases)
    elif kind.options.get("reset_after"):
        further = [c.emit(op.zeros((len(weights), dims(states[0])[2]), x.ty.dtype))]
    reverse = [False, True][: len(weights)]
    y, *after = layer(
        c.builder, x, of_input, of_state, bias, [*projection, *further, *states],
        kind=kind.name, functions=[[name] for name in kind.functions], reverse=reverse,
        lengths=False, batch_first=batch_first, **options,
    )  # fmt: skip
    first, second, _, units = dims(y)
    shape = relax.ShapeExpr([first, second, len(weights) * units])
    return [c.emit(op.reshape(y, shape)), *after]


def _biases(
    c: Context, kind: _Kind, of_input: relax.Expr, of_state: relax.Expr
) -> tuple[relax.Expr, list[relax.Expr]]:
    """The bias of the input's product, and the one that stays with the state's product."""
    if not kind.options.get("reset_after"):
        return c.emit(op.add(of_input, of_state)), []
    directions, sums = dims(of_state)
    start = sums // 3 * 2
    own = c.emit(op.strided_slice(of_state, [1], [start], [sums]))
    gates = c.emit(op.strided_slice(of_state, [1], [0], [start]))
    nothing = c.emit(op.zeros((directions, sums - start), of_state.ty.dtype))
    both = c.emit(op.add(of_input, c.emit(op.concat([gates, nothing], 1))))
    return both, [own]


def _together(c: Context, kind: _Kind, weights: Sequence[relax.Expr]) -> relax.Expr:
    """The same weights of all directions, with ONNX's order of gates."""
    found = []
    for each in weights:
        units = dims(each)[0] // len(kind.order)
        gates = [
            c.emit(op.strided_slice(each, [0], [n * units], [(n + 1) * units])) for n in kind.order
        ]
        ordered = each if len(gates) == 1 else c.emit(op.concat(gates, 0))
        found.append(ordered)
    return _stacked(c, found)


def _stacked(c: Context, tensors: Sequence[relax.Expr]) -> relax.Expr:
    """Tensors of all directions as one."""
    raised = [c.emit(op.expand_dims(each, 0)) for each in tensors]
    return raised[0] if len(raised) == 1 else c.emit(op.concat(raised, 0))
