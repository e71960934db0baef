"""The size of the expression of one element of a PrimFunc, with all its blocks inlined.

If a block reads an element of another block twice, that element's expression is counted twice, and
so on along a chain. TVM also expands some functions to several copies of their argument. Knows TIR,
no graph.
"""

from collections import Counter
from dataclasses import dataclass

import tvm
import tvm_ffi

from quake_tvm.tvm_version import Call, Expr, tir

# How many copies of the argument TVM makes when it lowers these functions for LLVM.
_COPIES = {"tirx.tanh": 5, "tirx.tan": 2, "tirx.atanh": 2}
# How often a select's condition counts. TVM's simplifier visits the condition, and simplifies it
# and its negation again as facts about the two values. In a chain whose links repeat their operand
# in a condition, each link doubles the expression and takes the simplifier some ten times as long.
_CONDITIONS = 4


@dataclass(frozen=True)
class Size:
    """The size of an element's expression.

    Attributes
    ----------
    own : int
        Nodes of the expression.
    reads : mapping of int to int
        How often the expression reads an element of a parameter, by the parameter's position.
    """

    own: int
    reads: Counter[int]

    def of(self, parameters: list[int]) -> int:
        """The size if the parameters' elements, of these sizes, are inlined too."""
        return self.own + sum(count * parameters[place] for place, count in self.reads.items())


def size(function: tir.PrimFunc) -> Size:
    """The size of an element that the function's last store writes."""
    sizes = {parameter: Size(0, Counter({n: 1})) for n, parameter in enumerate(function.params)}
    last = Size(0, Counter())

    def see(store: tir.BufferStore) -> None:
        nonlocal last
        nodes, loads = _expression(store.value)
        own = nodes
        reads: Counter[int] = Counter()
        for buffer, count in loads.items():
            read = sizes.get(buffer)
            if read is not None and not buffer.same_as(store.buffer):
                own += count * read.own
                for place, times in read.reads.items():
                    reads[place] += count * times
        last = sizes[store.buffer] = Size(own, reads)

    tvm_ffi.structural_walk(function.body, (tir.BufferStore, see))
    return last


def _expression(value: Expr) -> tuple[int, Counter[tir.Buffer]]:
    """The number of nodes and the loads from each buffer, after TVM has lowered the value."""
    nodes, copies = 0, 1
    loads: Counter[tir.Buffer] = Counter()

    def call(node: Call, visitor: tvm_ffi.structural.StructuralVisitor) -> None:
        nonlocal copies
        several = _COPIES.get(node.op.name, 1) if isinstance(node.op, tvm.ir.Op) else 1
        copies *= several
        for each in node.args:
            visitor.visit(each)
        copies //= several
        count()

    def select(node: tir.Select, visitor: tvm_ffi.structural.StructuralVisitor) -> None:
        nonlocal copies
        copies *= _CONDITIONS
        visitor.visit(node.condition)
        copies //= _CONDITIONS
        visitor.visit(node.true_value)
        visitor.visit(node.false_value)
        count()

    def count() -> None:
        nonlocal nodes
        nodes += copies

    def load(node: tvm.ir.TensorLoad, _: tvm_ffi.structural.StructuralVisitor) -> None:
        loads[node.source] += copies
        count()

    def other(node: tvm.ir.Node, visitor: tvm_ffi.structural.StructuralVisitor) -> None:
        visitor.default_visit(node)
        count()

    callbacks = [
        (Call, call),
        (tir.Select, select),
        (tvm.ir.TensorLoad, load),
        (tvm.ir.Expr, other),
    ]
    tvm_ffi.structural.structural_visit(value, callbacks)
    return nodes, loads
