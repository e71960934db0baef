"""Unroll Loop and Scan whose number of iterations is known.

Knows no TVM.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...errors import QuakeError
from .branches import renamed
from .external import array
from .loop_condition import iterations
from .nodes import all_nodes, errors_of, graphs, place

# More nodes than this would take hours to compile.
MAX_NODES = 20000


def unroll_known(
    model: onnx.ModelProto,
    known: Mapping[str, onnx.TensorProto],
    shapes: Mapping[str, Sequence[int | None]],
) -> bool:
    """Unroll, in place, each Loop and Scan whose number of iterations is known; whether any was.

    Parameters
    ----------
    model : onnx.ModelProto
        Of opset 18 or later.
    known : mapping of value name to TensorProto
    shapes : mapping of value name to extents

    Raises
    ------
    QuakeError
        If there would be too many nodes.
    """
    nodes: list[onnx.NodeProto] = []
    unrolled = False
    for node in model.graph.node:
        unroll = _UNROLLERS.get(node.op_type) if not node.domain else None
        with errors_of(node):
            emitted = unroll(_Loop(node, model), known, shapes) if unroll else None
        nodes += [node] if emitted is None else emitted
        unrolled |= emitted is not None
    if unrolled:
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return unrolled


def refuse(model: onnx.ModelProto) -> None:
    """Refuse each Loop and Scan that is left. Raises QuakeError."""
    constants = {c.name for g in graphs(model.graph) for c in g.initializer}
    for node in all_nodes(model.graph):
        if node.op_type in _UNROLLERS and not node.domain:
            raise QuakeError(
                f"{node.op_type} is supported only if its number of iterations is known: "
                f"{_advice(node, constants)} ({place(node)})"
            )


def _advice(node: onnx.NodeProto, constants: Collection[str]) -> str:
    """What to change, so that a node is unrolled."""
    limit = node.input[0]
    if node.op_type == "Scan":
        return "give shapes for the model's inputs"
    if limit and limit not in constants:
        return f"give shapes, from which its limit {limit!r} follows, or make it a constant"
    return (
        "its condition must not follow from data; make its body a model of its own and call that "
        "in a loop"
    )


class _Loop:
    """A node with a body, and the nodes that replace it."""

    def __init__(self, node: onnx.NodeProto, model: onnx.ModelProto) -> None:
        self.node, self.graph, self.opsets = node, model.graph, model.opset_import
        self.given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.body: onnx.GraphProto = self.given["body"]
        self.nodes: list[onnx.NodeProto] = []

    @property
    def stem(self) -> str:
        return next(name for name in self.node.output if name)

    def check(self, count: int) -> None:
        if count * len(self.body.node) > MAX_NODES:
            raise QuakeError(
                f"{self.node.op_type} of {count} iterations has too many nodes to be unrolled: "
                "make the model's step a model of its own and call it in a loop"
            )

    def emit(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: np.ndarray, name: str) -> str:
        tensor = numpy_helper.from_array(value, name)
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def iterate(self, step: int, inputs: Mapping[str, str]) -> list[str]:
        """Emit the body with these inputs; the names of its outputs."""
        inner = [c.name for c in self.body.initializer]
        inner += [name for n in self.body.node for name in n.output if name]
        names = {name: f"{self.stem}/{step}/{name}" for name in inner} | dict(inputs)
        for tensor in self.body.initializer:
            self.graph.initializer.append(tensor)
            self.graph.initializer[-1].name = names[tensor.name]
        self.nodes += [renamed(n, names) for n in self.body.node]
        return [names.get(output.name, output.name) for output in self.body.output]

    def finish(
        self, state: Sequence[str], rows: Sequence[Sequence[str]], axes: Sequence[int]
    ) -> None:
        """Emit the outputs: the last state, and the results of the iterations joined."""
        count = len(state)
        for name, output in zip(state, self.node.output[:count], strict=False):
            if output:
                self.emit("Identity", [name], output)
        for k, output in enumerate(self.node.output[count:]):
            if not output:
                continue
            axis = self.constant(np.array([axes[k]]), f"{output}/axis")
            parts = [
                self.emit("Unsqueeze", [row[k], axis], f"{output}/{step}")
                for step, row in enumerate(rows)
            ]
            self.emit("Concat", parts, output, axis=axes[k])


def _loop(
    loop: _Loop, known: Mapping[str, onnx.TensorProto], _: object
) -> list[onnx.NodeProto] | None:
    _, _, *state = [*loop.node.input, ""][: max(2, len(loop.node.input))]
    body = loop.body
    count = _count(loop, state, known)
    if count is None:
        return None
    rows: list[list[str]] = []
    if count < 1 and any(loop.node.output[len(state) :]):
        raise QuakeError("Loop of no iterations gives empty results: take it out of the model")
    loop.check(count)
    always = loop.constant(np.array(True), f"{loop.stem}/condition")
    for step in range(count):
        number = loop.constant(np.array(step), f"{loop.stem}/{step}")
        given = zip([i.name for i in body.input], [number, always, *state], strict=True)
        _, *results = loop.iterate(step, dict(given))
        state, row = results[: len(state)], results[len(state) :]
        rows.append(row)
    loop.finish(state, rows, [0] * (len(body.output) - 1 - len(state)))
    return loop.nodes


def _count(loop: _Loop, state: Sequence[str], known: Mapping[str, onnx.TensorProto]) -> int | None:
    """The number of a Loop's iterations, if it is known."""
    limit, condition = [*loop.node.input, ""][:2]
    if any(name and name not in known for name in (limit, condition)):
        return None
    most = int(array(known[limit]).reshape(())) if limit else None
    if condition and not array(known[condition]).reshape(()):
        return 0
    if _hands_on(loop.body):
        return most
    if most is not None and most < 1:
        return 0
    fitting = MAX_NODES // len(loop.body.node) + 1
    return iterations(
        loop.body, state, known, loop.opsets, fitting if most is None else min(most, fitting)
    )


def _hands_on(body: onnx.GraphProto) -> bool:
    """Whether the body's condition stays true: it is its input, or a constant."""
    made = {name: n for n in body.node for name in n.output}
    constants = {c.name: c for c in body.initializer}
    name = body.output[0].name
    while name in made and made[name].op_type == "Identity":
        name = made[name].input[0]
    if name == body.input[1].name:
        return True
    if name in made and made[name].op_type == "Constant":
        value = next((a.t for a in made[name].attribute if a.name == "value"), None)
        return value is not None and bool(numpy_helper.to_array(value).all())
    return name in constants and bool(numpy_helper.to_array(constants[name]).all())


def _scan(
    loop: _Loop, _: object, shapes: Mapping[str, Sequence[int | None]]
) -> list[onnx.NodeProto] | None:
    body, given = loop.body, loop.given
    number = given["num_scan_inputs"]
    state, scanned = list(loop.node.input[:-number]), loop.node.input[-number:]
    extents = [shapes.get(name) for name in scanned]
    axes = given.get("scan_input_axes", [0] * number)
    backwards = given.get("scan_input_directions", [0] * number)
    made = len(body.output) - len(state)
    out_axes = given.get("scan_output_axes", [0] * made)
    out_backwards = given.get("scan_output_directions", [0] * made)
    count = None if extents[0] is None else extents[0][axes[0]]
    if not count:
        return None
    loop.check(count)
    rows: list[list[str]] = []
    for step in range(count):
        taken = []
        for k, (name, axis, back) in enumerate(zip(scanned, axes, backwards, strict=True)):
            stem = f"{loop.stem}/{step}/in{k}"
            index = loop.constant(np.array(count - 1 - step if back else step), f"{stem}/index")
            taken.append(loop.emit("Gather", [name, index], stem, axis=axis))
        names = dict(zip([i.name for i in body.input], [*state, *taken], strict=True))
        results = loop.iterate(step, names)
        state, row = results[: len(state)], results[len(state) :]
        rows.append(row)
    ordered = [
        [rows[-1 - step if out_backwards[k] else step][k] for k in range(made)]
        for step in range(count)
    ]
    loop.finish(state, ordered, out_axes)
    return loop.nodes


_UNROLLERS = {"Loop": _loop, "Scan": _scan}
