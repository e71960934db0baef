"""Give values of branches and loop bodies names that no other value of the model has.

The standard lets two branches of an If use the same names for different values, and exporters that
merge models write such branches. Knows no operator and no TVM.
"""

from collections.abc import Iterator, Mapping

import onnx

from .nodes import graphs


def with_unique_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed in place: of several values with one name, all but the first are renamed.

    Values of the outermost graph keep their names.
    """
    inner = list(graphs(model.graph))
    names = [name for graph in inner for name in _defined(graph)]
    if len(set(names)) < len(names):
        _rename(model.graph, {}, set(), set(names))
    return model


def _defined(graph: onnx.GraphProto) -> Iterator[str]:
    """The names that a graph gives to values, without those of the graphs in it."""
    constants = {c.name for c in graph.initializer}
    yield from constants
    yield from (i.name for i in graph.input if i.name not in constants)
    yield from (name for node in graph.node for name in node.output if name)


def _rename(
    graph: onnx.GraphProto, outer: Mapping[str, str], seen: set[str], taken: set[str]
) -> None:
    """Rename, in place, what was seen before, here and in the graphs inside.

    Parameters
    ----------
    graph : onnx.GraphProto
    outer : mapping of old name to new
        Values of the graphs around this one.
    seen : set of str
        The names of the values so far. Those of this graph are added.
    taken : set of str
        The names in the model. New ones are added.
    """
    names = dict(outer)
    for name in _defined(graph):
        names[name] = _unused(name, taken) if name in seen else name
        seen.add(names[name])
    for values in (graph.input, graph.initializer, graph.output, graph.value_info):
        for value in values:
            value.name = names.get(value.name, value.name)
    for node in graph.node:
        for field in (node.input, node.output):
            field[:] = [names.get(name, name) for name in field]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names, seen, taken)


def _unused(name: str, taken: set[str]) -> str:
    """A new name that no value has. It is added to ``taken``."""
    count, new = 1, f"{name}_1"
    while new in taken:
        count += 1
        new = f"{name}_{count}"
    taken.add(new)
    return new
