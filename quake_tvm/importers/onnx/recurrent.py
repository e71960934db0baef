"""ONNX's LSTM, GRU and RNN, which TVM's importer lacks or unrolls."""

from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm import relax

from ...kernels.index_check import Places, checked
from ...kernels.size_check import equal
from ...numerics.number_formats import COMPUTED, HALVES
from .. import recurrent
from .extents import Extent
from .node import Node
from .nodes import DoesNotFitError

op = relax.op


@dataclass(frozen=True)
class _Kind:
    """What is special of an operator.

    Attributes
    ----------
    name : str
        The kind of cell.
    gates : int
    functions : tuple of str
        The default functions of one direction.
    states : int
    """

    name: str
    gates: int
    functions: tuple[str, ...]
    states: int = 1


_KINDS = {
    "RNN": _Kind("rnn", 1, ("Tanh",)),
    "GRU": _Kind("gru", 3, ("Sigmoid", "Tanh")),
    "LSTM": _Kind("lstm", 4, ("Sigmoid", "Tanh", "Tanh"), 2),
}
# Each function's name in a cell, and the defaults of the parameters that it has.
_FUNCTIONS: dict[str, tuple[str, dict[str, float]]] = {
    "affine": ("affine", {"alpha": 1.0, "beta": 0.0}),
    "elu": ("elu", {"alpha": 1.0}),
    "hardsigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "leakyrelu": ("leaky_relu", {"alpha": 0.01}),
    "relu": ("relu", {}),
    "scaledtanh": ("tanh", {"alpha": 1.0, "beta": 1.0}),
    "sigmoid": ("sigmoid", {}),
    "softplus": ("softplus", {}),
    "softsign": ("softsign", {}),
    "tanh": ("tanh", {}),
    "thresholdedrelu": ("thresholded_relu", {"alpha": 1.0}),
}
# What int8 weights are multiplied by: inputs that the standard's LSTM has not.
_FACTORS = slice(8, 10)
# The rank of each input of the standard.
_RANKS = {0: 3, 1: 3, 2: 3, 3: 2, 4: 1, 5: 3, 6: 3, 7: 2}
_DIRECTIONS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


def layer(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert a recurrent layer to ``quake.recurrent``: its result, and its states in the end.

    An LSTM of int8 weights, as :mod:`.rewrites.dynamic_quantize_lstm` writes it, has their factors
    as further inputs.

    Raises
    ------
    QuakeError
        For elements of float64, an unknown function, and shapes that do not fit.
    """
    kind, given = _KINDS[node.operator], node.attributes
    if node.dtype() not in (COMPUTED, *HALVES):
        raise node.refuse(f"elements of type {node.dtype()}: cast them to float32")
    reverse = _DIRECTIONS.get(given.get("direction", "forward"))
    if reverse is None:
        raise node.refuse(f"the direction {given['direction']!r}")
    hidden = _check_weights(node, kind, len(reverse))
    batch_first = bool(given.get("layout", 0))
    batch = node.shape(0)[0 if batch_first else 1]
    bias, further, options = _cell(builder, node, kind, hidden)
    further += [
        _state(builder, node, 5 + k, (len(reverse), batch, hidden), batch_first)
        for k in range(kind.states)
    ]
    lengths = [] if node.input(4) is None else [_lengths(builder, node, batch, batch_first)]
    functions, x = _functions(node, kind, len(reverse)), _input(builder, node)
    factors = node.inputs[_FACTORS] if node.dtype(1) == "int8" else []

    def made(directions: range) -> list[relax.Expr]:
        """Directions that have the same functions."""

        def part(whole: relax.Expr) -> relax.Expr:
            if len(directions) == len(reverse):
                return whole
            if isinstance(whole, tvm.ir.GenericConst):
                own = whole.value.numpy()[directions.start : directions.stop]
                return relax.const(own, str(whole.ty.dtype))
            ends = [directions.start], [directions.stop]
            return builder.emit(op.strided_slice(whole, [0], *ends))

        return recurrent.layer(
            builder,
            x,
            part(node.inputs[1]),
            part(node.inputs[2]),
            None if bias is None else part(bias),
            [*map(part, further), *lengths],
            [*map(part, factors)],
            kind=kind.name,
            functions=functions[directions.start],
            reverse=[reverse[d] for d in directions],
            lengths=bool(lengths),
            batch_first=batch_first,
            **options,
        )

    if functions[0] == functions[-1]:
        y, *states = made(range(len(reverse)))
    else:
        forward, backward = made(range(1)), made(range(1, 2))
        y, *states = (
            builder.emit(op.concat(both, 0 if k else 2))
            for k, both in enumerate(zip(forward, backward, strict=True))
        )
    if batch_first:
        return relax.Tuple([y, *(_swapped(builder, state, 0) for state in states)])
    return relax.Tuple([_swapped(builder, y, 1), *states])


def _cell(
    builder: relax.BlockBuilder, node: Node, kind: _Kind, hidden: int
) -> tuple[relax.Expr | None, list[relax.Expr], dict[str, Any]]:
    """The bias of the input's product, the cell's further weights, and the cell's options."""
    given, biases = node.attributes, _biases(builder, node, kind.gates * hidden)
    bias = None if biases is None else builder.emit(op.add(*biases))
    options: dict[str, Any] = {"clip": given.get("clip")}
    if kind.name == "lstm":
        options["coupled"] = bool(given.get("input_forget", 0))
        options["peepholes"] = node.input(7) is not None
        return bias, [node.inputs[7]] if options["peepholes"] else [], options
    if kind.name == "gru":
        options["reset_after"] = bool(given.get("linear_before_reset", 0))
    if not options.get("reset_after"):
        return bias, [], options
    own = builder.emit(op.zeros((int(node.shape(2)[0]), hidden), node.dtype()))
    if biases is not None:  # the last gate's bias of the state's product stays with that product
        gates = builder.emit(op.strided_slice(biases[1], [1], [0], [2 * hidden]))
        gates = builder.emit(op.concat([gates, own], 1))
        own = builder.emit(op.strided_slice(biases[1], [1], [2 * hidden], [3 * hidden]))
        bias = builder.emit(op.add(biases[0], gates))
    return bias, [own], options


def _check_weights(node: Node, kind: _Kind, directions: int) -> int:
    """The units of a state. Raises QuakeError for inputs of other shapes than the standard's."""
    for k, rank in _RANKS.items():
        if node.input(k) is not None and len(node.shape(k)) != rank:
            raise _unfit(node, k, f"one of rank {rank}")
    hidden = node.attributes.get("hidden_size", node.shape(2)[-1])
    if not isinstance(hidden, int) or hidden <= 0:
        raise node.refuse(f"a hidden size of {hidden}")
    features = node.shape(0)[2]
    features = features if isinstance(features, int) else node.shape(1)[2]  # a run checks open ones
    wanted = {
        2: [directions, kind.gates * hidden, hidden],
        1: [directions, kind.gates * hidden, features],
        3: [directions, 2 * kind.gates * hidden],
        7: [directions, 3 * hidden],
    }
    for k, shape in wanted.items():
        if node.input(k) is not None and node.shape(k) != shape:
            raise _unfit(node, k, str(shape))
    return hidden


def _unfit(node: Node, index: int, wanted: str) -> DoesNotFitError:
    """The error for an input of another shape than the standard's."""
    problem = f"input {index} has the shape {node.shape(index)}, not {wanted}"
    return DoesNotFitError(f"cannot import {node.operator}: {problem}")


def _state(
    builder: relax.BlockBuilder, node: Node, index: int, shape: tuple, batch_first: bool
) -> relax.Expr:
    """A state before the first step, (direction, row, unit); 0 if it is left out."""
    if node.input(index) is None:
        return builder.emit(op.zeros(relax.ShapeExpr(list(shape)), node.dtype()))
    given = node.shape(index)
    if batch_first:
        given[:2] = given[1::-1]
    fits = [pair for sizes in zip(given, shape, strict=True) for pair in equal(*sizes)]
    node.require(builder, fits, "an initial state does not fit the input", index)
    state = node.inputs[index]
    if batch_first:
        state = _swapped(builder, state, 0)
    return _closed(builder, state, shape)


def _input(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """The input of all steps. A run checks that its features are the weights'."""
    *outer, features = node.shape()
    own = node.shape(1)[2]
    node.require(builder, equal(features, own), f"input 0 must have {own} features")
    return _closed(builder, node.inputs[0], (*outer, own))


def _closed(builder: relax.BlockBuilder, x: relax.Expr, shape: tuple) -> relax.Expr:
    """``x`` of this shape: sizes that the file leaves open are the weights', as in the kernel."""
    wanted = relax.TensorType(list(shape), x.ty.dtype)
    return x if tvm_ffi.structural_equal(x.ty, wanted) else builder.match_cast(x, wanted)


def _lengths(
    builder: relax.BlockBuilder, node: Node, batch: Extent, batch_first: bool
) -> relax.Expr:
    """How many steps each row has. A run checks that the input has them."""
    node.require(builder, equal(node.shape(4)[0], batch), "sequence_lens: not one for each row", 4)
    lengths = checked(
        node.inputs[4],
        [node.shape(0)[1 if batch_first else 0] + 1],
        Places.FRONT,
        node.operator,
        problem="sequence_lens: a length that is negative or above the number of steps",
    )
    return builder.emit(op.astype(lengths, "int32"))


def _swapped(builder: relax.BlockBuilder, x: relax.Expr, axis: int) -> relax.Expr:
    """``x`` with this axis and the next one exchanged."""
    shape = list(x.ty.shape)
    order = [*range(axis), axis + 1, axis, *range(axis + 2, len(shape))]
    if any(getattr(n, "value", 0) == 1 for n in shape[axis : axis + 2]):
        return builder.emit(op.reshape(x, relax.ShapeExpr([shape[n] for n in order])))
    return builder.emit(op.permute_dims(x, order))


def _biases(builder: relax.BlockBuilder, node: Node, sums: int) -> list[relax.Expr] | None:
    """The biases of the input's and of the state's product, each (direction, gate * unit)."""
    if node.input(3) is None:
        return None
    starts = 0, sums
    return [
        builder.emit(op.strided_slice(node.inputs[3], [1], [start], [start + sums]))
        for start in starts
    ]


def _functions(node: Node, kind: _Kind, directions: int) -> list[list[list]]:
    """The functions of each direction, as fields of a GateFunction.

    The lists of parameters have an element for each function that has the parameter.
    """
    names = node.attributes.get("activations") or kind.functions * directions
    if len(names) != len(kind.functions) * directions:
        raise node.refuse(f"{len(names)} activations for {directions} directions")
    left = {
        name: list(node.attributes.get(f"activation_{name}") or []) for name in ("alpha", "beta")
    }
    found = []
    for each in names:
        text = each.decode() if isinstance(each, bytes) else each
        if text.lower() not in _FUNCTIONS:
            raise node.refuse(f"the activation {text!r}")
        name, defaults = _FUNCTIONS[text.lower()]
        values = {p: left[p].pop(0) if left[p] else own for p, own in defaults.items()}
        alpha, beta = values.get("alpha", 0.0), values.get("beta", 0.0)
        scaled = name == "tanh" and bool(defaults)
        found.append([name, 0.0, 0.0, None, alpha, beta] if scaled else [name, alpha, beta])
    count = len(kind.functions)
    return [found[k : k + count] for k in range(0, len(found), count)]
