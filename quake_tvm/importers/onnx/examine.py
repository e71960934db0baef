"""What the import makes of each operator of a model, found by its own steps.

Nothing is compiled. Knows no operator and nothing of nonlinearities.
"""

from collections import Counter
from dataclasses import dataclass

import onnx
import tvm

from ...errors import QuakeError
from ..dimensions import Ranges, Shapes
from . import functions, rewrites
from .check import name, problems
from .file import with_shapes
from .fold import fold_shapes
from .module import converted, errors_with_advice
from .nodes import all_nodes
from .unique_names import with_unique_names
from .unread import without_unread

# What may become of a node: it is computed when the model runs, replaced by other nodes, computed
# during the import, or not imported.
TAKEN, REWRITTEN, FOLDED, REFUSED = "taken", "rewritten", "folded", "refused"


@dataclass(frozen=True)
class Finding:
    """What becomes of some nodes of an operator.

    Attributes
    ----------
    operator : str
        The operator's name; empty for an input, an output or the whole model.
    fate : str
    nodes : int
        How many.
    what : str
        Why the operator is refused, and what to do; else empty.
    """

    operator: str
    fate: str
    nodes: int = 1
    what: str = ""


def examine(
    model: onnx.ModelProto, shapes: Shapes | None = None, ranges: Ranges | None = None
) -> tuple[list[Finding], tvm.IRModule | None]:
    """The fates of all nodes that are read, and the imported module; None if something is refused.

    Parameters
    ----------
    model : onnx.ModelProto
    shapes, ranges : mapping, optional
        As for :func:`module.to_relax`.

    Raises
    ------
    QuakeError
        For shapes and ranges that do not fit.
    """
    own = functions.inline(with_shapes(model, shapes or {}, ranges or {}))
    own = without_unread(with_unique_names(own))
    refused = _refused(own)
    if refused:
        return refused, None
    given = _nodes(own)
    outer = {output for node in own.graph.node for output in node.output}
    inner = {output for _, output in given.values()} - outer
    try:
        with errors_with_advice(own):
            expanded = functions.expand(own)
            refused = _refused(expanded)  # the nodes of the expanded functions
            if refused:
                return refused, None
            rewritten = rewrites.rewrite(expanded)
            left = _nodes(rewritten).keys()
            folded = fold_shapes(rewritten)
            kept = {output for node in all_nodes(folded.graph) for output in node.output}
            kept |= inner  # values of branches that are taken and of unrolled loops get new names
            module = converted(folded, ranges or {})
    except QuakeError as error:
        return [Finding("", REFUSED, what=str(error))], None
    fates = Counter(
        (operator, _fate(key in left, output in kept)) for key, (operator, output) in given.items()
    )
    return [Finding(*of, count) for of, count in sorted(fates.items())], module


def _fate(as_it_was: bool, computed: bool) -> str:
    if not as_it_was:
        return REWRITTEN
    return TAKEN if computed else FOLDED


def _refused(model: onnx.ModelProto) -> list[Finding]:
    """The problems of a model; those that only differ in the node are one."""
    found = Counter((problem.operator, problem.message) for problem in problems(model))
    nodes = Counter(name(node) for node in all_nodes(model.graph))
    lacking = [operator for operator, _ in found]
    return [
        Finding(operator, REFUSED, nodes[operator] if lacking.count(operator) == 1 else 1, what)
        for operator, what in found
    ]


def _nodes(model: onnx.ModelProto) -> dict[bytes, tuple[str, str]]:
    """The operator and the first output of each node, by what it computes: all of the node but its
    name and its further outputs."""
    found = {}
    for node in all_nodes(model.graph):
        key = onnx.NodeProto()
        key.CopyFrom(node)
        key.ClearField("name")
        del key.output[1:]
        found[key.SerializeToString(deterministic=True)] = name(node), node.output[0]
    return found
