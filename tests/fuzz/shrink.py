"""The smallest graph that fails in the same way: fewer outputs, nodes, elements and attributes.

ONNX Runtime must accept every candidate. The caller's check decides whether it still fails.
"""

from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from .check import Verdict
from .generate import Case, needed
from .graph import session, value_info

Check = Callable[[Case], Verdict]
# The number of candidates that are tried for a failure. Each costs a compilation.
CANDIDATES = 150


def shrunk(case: Case, failure: Verdict, check: Check, candidates: int = CANDIDATES) -> Case:
    """The case, made as small as the steps below can while the verdict's kind stays the same."""
    left = candidates
    for one in _one_size(case):
        if check(one).kind == failure.kind:
            case = one
            break
    progress = True
    while progress and left > 0:
        progress = False
        for step in (_outputs, _cuts, _bypasses, _static, _attributes, _sizes, _values):
            again = True
            while again and left > 0:
                again = False
                for candidate in step(case):
                    smaller = _whole(candidate)
                    if smaller is None:
                        continue
                    left -= 1
                    if check(smaller).kind == failure.kind:
                        case, again, progress = smaller, True, True
                        break
                    if left <= 0:
                        break
    return case


def _copy(case: Case) -> Case:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    return Case(case.seed, model, [dict(case.feeds[-1])], None if case.bits is None else 0)


def _one_size(case: Case) -> Iterator[Case]:
    """The case with only one of its sizes."""
    if len(case.feeds) > 1:
        for k, feeds in enumerate(case.feeds):
            yield Case(case.seed, case.model, [feeds], 0 if k == case.bits else None)


def _whole(case: Case) -> Case | None:
    """The case without unneeded nodes, and with typed outputs, if it is valid."""
    graph = case.model.graph
    outputs = [o.name for o in graph.output]
    nodes = needed(list(graph.node), outputs)
    if not nodes or not outputs:
        return None
    read = {i for n in nodes for m in (n, *_inner(n)) for i in m.input} | set(outputs)
    inputs = [i for i in graph.input if i.name in read]
    constants = [c for c in graph.initializer if c.name in read]
    for field, kept in ((graph.node, nodes), (graph.input, inputs), (graph.initializer, constants)):
        kept = [type(item).FromString(item.SerializeToString()) for item in kept]
        del field[:]
        field.extend(kept)
    del graph.value_info[:]
    case.feeds = [{i.name: case.feeds[0][i.name] for i in inputs}]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        results = session(case.model).run(None, case.feeds[0])
    except Exception:
        return None
    if not case.dynamic:
        for output, result in zip(graph.output, results, strict=True):
            output.CopyFrom(value_info(output.name, np.asarray(result)))
    return case


def _inner(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for attribute in node.attribute:
        yield from attribute.g.node


def _read_within(node: onnx.NodeProto) -> set[str]:
    return {i for inner in _inner(node) for i in inner.input}


def _outputs(case: Case) -> Iterator[Case]:
    """The case with only one of its outputs."""
    outputs = list(case.model.graph.output)
    if len(outputs) > 1:
        for output in outputs:
            smaller = _copy(case)
            del smaller.model.graph.output[:]
            smaller.model.graph.output.append(output)
            yield smaller


def _values_within(case: Case) -> dict[str, np.ndarray]:
    """The values of all tensors that nodes compute."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    outputs = {o.name for o in model.graph.output}
    names = [o for n in model.graph.node for o in n.output if o and o not in outputs]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    try:
        results = session(model).run(None, case.feeds[0])
    except Exception:  # one of the outputs is a sequence
        return {}
    every = [o.name for o in case.model.graph.output] + names
    return dict(zip(every, results, strict=True))


def _cuts(case: Case) -> Iterator[Case]:
    """The graph from a tensor on, which becomes an input; or the graph up to that tensor."""
    within = _values_within(case)
    outputs = {o.name for o in case.model.graph.output}
    read = {i for node in case.model.graph.node for i in (*node.input, *_read_within(node))}
    for name in reversed([n for n in within if n in read - outputs]):
        smaller = _copy(case)
        graph = smaller.model.graph
        for node in graph.node:
            for k, output in enumerate(node.output):
                if output == name:
                    node.output[k] = name + "_unused"
        graph.input.append(value_info(name, within[name]))
        smaller.feeds[0][name] = np.asarray(within[name])
        yield smaller
    for name in [n for n in within if n not in outputs]:
        smaller = _copy(case)
        del smaller.model.graph.output[:]
        smaller.model.graph.output.append(value_info(name, within[name]))
        yield smaller


def _bypasses(case: Case) -> Iterator[Case]:
    """The graph without one node, if one of the node's operands can replace its result."""
    within = _values_within(case) | case.feeds[0]
    within |= {c.name: numpy_helper.to_array(c) for c in case.model.graph.initializer}
    outputs = {o.name for o in case.model.graph.output}
    for k, node in enumerate(case.model.graph.node):
        result = within.get(node.output[0])
        if result is None or node.output[0] in outputs:
            continue
        for operand in node.input:
            value = within.get(operand)
            if value is not None and (value.shape, value.dtype) == (result.shape, result.dtype):
                smaller = _copy(case)
                graph = smaller.model.graph
                for later in graph.node[k + 1 :]:
                    for i, name in enumerate(later.input):
                        if name == node.output[0]:
                            later.input[i] = operand
                yield smaller


def _static(case: Case) -> Iterator[Case]:
    """The graph without dynamic dimensions."""
    if case.dynamic:
        smaller = _copy(case)
        for info in smaller.model.graph.input:
            info.CopyFrom(value_info(info.name, smaller.feeds[0][info.name]))
        yield smaller


def _attributes(case: Case) -> Iterator[Case]:
    """The graph without one attribute, or without one optional operand at the end."""
    for k, node in enumerate(case.model.graph.node):
        for a in range(len(node.attribute)):
            smaller = _copy(case)
            del smaller.model.graph.node[k].attribute[a]
            yield smaller
        if len(node.input) > 1:
            smaller = _copy(case)
            del smaller.model.graph.node[k].input[-1]
            yield smaller


def _sizes(case: Case) -> Iterator[Case]:
    """The graph with one extent made smaller, in all inputs and constants that have it."""
    if case.dynamic:
        return
    arrays = {c.name: numpy_helper.to_array(c) for c in case.model.graph.initializer}
    arrays |= case.feeds[0]
    extents = sorted({n for a in arrays.values() for n in a.shape if n > 1}, reverse=True)
    for old in extents:
        for new in dict.fromkeys((1, 2, old // 2, old - 1)):
            if not 0 < new < old:
                continue
            smaller = _copy(case)
            for constant in smaller.model.graph.initializer:
                value = arrays[constant.name]
                cut = value[tuple(slice(new if n == old else n) for n in value.shape)]
                if value.dtype == np.int64 and value.ndim == 1:  # may be a shape
                    cut = np.where(value == old, new, value)
                constant.CopyFrom(numpy_helper.from_array(cut, constant.name))
            for info in smaller.model.graph.input:
                value = arrays[info.name]
                cut = value[tuple(slice(new if n == old else n) for n in value.shape)]
                smaller.feeds[0][info.name] = np.ascontiguousarray(cut)
                info.CopyFrom(value_info(info.name, cut))
            yield smaller


def _values(case: Case) -> Iterator[Case]:
    """The graph with simpler numbers in a constant or an input."""
    arrays = {c.name: numpy_helper.to_array(c) for c in case.model.graph.initializer}
    arrays |= case.feeds[0]
    for name, value in arrays.items():
        if value.dtype.kind != "f" or not value.size:
            continue
        with np.errstate(invalid="ignore"):
            plain = [np.ones_like(value), np.round(value)]
        for simple in plain:
            if np.array_equal(simple, value, equal_nan=True):
                break
            smaller = _copy(case)
            for constant in smaller.model.graph.initializer:
                if constant.name == name:
                    constant.CopyFrom(numpy_helper.from_array(simple, name))
            if name in smaller.feeds[0]:
                smaller.feeds[0][name] = simple
            yield smaller
