"""How often a Loop runs, where its condition follows from constants and the iteration's number.

TensorFlow's converters write such conditions: a counter in the state is compared with a length.
Knows no TVM.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from .evaluate import RANDOM, UNRELIABLE
from .external import array
from .nodes import all_nodes, read_by


def iterations(
    body: onnx.GraphProto,
    state: Sequence[str],
    known: Mapping[str, onnx.TensorProto],
    opsets: Sequence[onnx.OperatorSetIdProto],
    most: int,
) -> int | None:
    """The number of iterations until the condition fails.

    Parameters
    ----------
    body : onnx.GraphProto
        Of a Loop whose first iteration runs.
    state : sequence of str
        The values with which the first iteration starts.
    known : mapping of value name to TensorProto
        The constants around the loop.
    opsets : sequence of OperatorSetIdProto
        The model's.
    most : int
        Counting stops here.

    Returns
    -------
    int or None
        None if the condition needs a value that is not known.
    """
    inputs = [value.name for value in body.input]
    carried = dict(zip(inputs[2:], [o.name for o in body.output[1:]], strict=False))
    first = dict(zip(inputs[2:], state, strict=True))
    needed = _needed(body, carried)
    nodes = [node for node in body.node if needed & set(node.output)]
    made = {name for node in nodes for name in node.output}
    constants = {c.name: c for c in body.initializer}
    outer = needed - made - constants.keys() - set(inputs)
    counted = [name for name in first if name in needed]
    if not outer <= known.keys() or not all(first[name] in known for name in counted):
        return None
    fed = [*inputs[:2], *counted]
    given = [onnx.ValueInfoProto(name=name) for name in fed]
    wanted = [body.output[0].name, *(carried[name] for name in counted)]
    results = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted)]
    read = [numpy_helper.from_array(array(known[name]), name) for name in outer]
    read += [c for c in body.initializer if c.name in needed]
    graph = helper.make_graph(nodes, "condition", given, results, read)
    if any(node.op_type in RANDOM | UNRELIABLE for node in all_nodes(graph)):
        return None
    values = [array(known[first[name]]) for name in counted]
    try:
        step = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))
        for number in range(most):
            feeds = dict(zip(fed, [np.array(number), np.array(True), *values], strict=True))
            found = list(step.run(wanted, feeds))
            values = [np.asarray(value) for value in found[1:]]
            if not np.any(found[0]):
                return number + 1
    except Exception:  # an operator without a reference
        return None
    return most


def _needed(body: onnx.GraphProto, carried: Mapping[str, str]) -> set[str]:
    """The values on which the condition of any iteration depends."""
    producers = {name: node for node in body.node for name in node.output if name}
    found: set[str] = set()
    left = [body.output[0].name]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        if name in producers:
            left += [given for given in read_by(producers[name]) if given]
        if name in carried:
            left.append(carried[name])
    return found
