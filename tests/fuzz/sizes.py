"""Symbolic dimensions of a graph's inputs, and inputs of other sizes.

ONNX Runtime tells which extents may vary: an axis that cannot change alone may change together with
all axes of the same extent, and then they have one name.
"""

from collections.abc import Mapping

import numpy as np
import onnx

from .graph import Graph, session

Feeds = dict[str, np.ndarray]
Axis = tuple[str, int]
# An extent that no generated tensor has, and that two and three divide.
PROBE = 6
ODD = [3, 5, 7, 9, 11, 13, 19]
# A run of more elements takes too long.
MAX_INPUT = 40_000


def with_names(graph: Graph, model: onnx.ModelProto, feeds: Feeds) -> dict[str, int]:
    """Give dimensions of the model's inputs names; returns each name's extent in ``feeds``.

    ``graph`` makes the random choices.
    """
    names: dict[Axis, str] = {}
    by_extent: dict[int, list[Axis]] = {}
    for name, value in feeds.items():
        for axis, extent in enumerate(value.shape):
            if graph.chance(0.75 if axis == 0 else 0.5):
                by_extent.setdefault(extent, []).append((name, axis))
    probing = graph.chance(0.9)
    for extent, axes in by_extent.items():
        one = dict.fromkeys(axes, f"{graph.prefix}d{extent}")
        if not probing:  # as in a file whose exporter was told wrong axes
            names |= one
            continue
        alone = extent == 1 or graph.chance(0.3)
        if not alone and _varies(model, feeds, names | one):
            names |= one
            continue
        for name, axis in axes:
            own = {(name, axis): f"{graph.prefix}d{extent}_{name.rsplit('_')[-1]}_{axis}"}
            if _varies(model, feeds, names | own):
                names |= own
        rest = {axis: name for axis, name in one.items() if axis not in names}
        if alone and rest and extent > 1 and _varies(model, feeds, names | rest):
            names |= rest
    for info in model.graph.input:
        for axis, dim in enumerate(info.type.tensor_type.shape.dim):
            if (info.name, axis) in names:
                dim.Clear()
                dim.dim_param = names[info.name, axis]
    if names:
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
    return {name: feeds[of].shape[axis] for (of, axis), name in names.items()}


def of_other_sizes(
    graph: Graph, model: onnx.ModelProto, feeds: Feeds, extents: Mapping[str, int]
) -> list[Feeds]:
    """Inputs with all named extents 1, then odd, then larger. ONNX Runtime may refuse some."""
    sizes = [
        dict.fromkeys(extents, 1),
        {name: graph.pick(ODD) for name in extents},
        {name: n + graph.pick([1, 2, n, 2 * n, 16]) for name, n in extents.items()},
    ]
    made = []
    for named in sizes:
        other = {}
        for info in model.graph.input:
            dims = info.type.tensor_type.shape.dim
            shape = tuple(named.get(d.dim_param, d.dim_value) for d in dims)
            other[info.name] = _resized(graph, feeds[info.name], shape)
        if sum(value.size for value in other.values()) <= MAX_INPUT:
            made.append(other)
    return made


def _resized(graph: Graph, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if value.shape == shape:
        return value
    if value.dtype.kind in "iu" and value.size:  # these may be indices
        return np.resize(value, shape)
    return graph.array(value.dtype, shape)


def _varies(model: onnx.ModelProto, feeds: Feeds, names: Mapping[Axis, str]) -> bool:
    """Whether ONNX Runtime accepts the probe for these axes."""
    varied = onnx.ModelProto()
    varied.CopyFrom(model)
    given = {}
    for info in varied.graph.input:
        shape = list(feeds[info.name].shape)
        for axis, dim in enumerate(info.type.tensor_type.shape.dim):
            if (info.name, axis) in names:
                dim.Clear()
                shape[axis] = PROBE
        value = feeds[info.name]
        fits = value.size and list(value.shape) != shape
        given[info.name] = np.resize(value, shape) if fits else value
        if not value.size:
            given[info.name] = np.zeros(shape, value.dtype)
    for output in varied.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        session(varied).run(None, given)
    except Exception:  # it has no common base for its errors
        return False
    return True
