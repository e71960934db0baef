"""A node to try, and short functions to write one down."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quake_tvm.importers.onnx.operators import forms

RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class K:
    """A constant."""

    value: np.ndarray


@dataclass(frozen=True)
class Case:
    """A node to try."""

    operator: str
    inputs: tuple
    attributes: dict = field(default_factory=dict)
    outputs: int = 1
    # The number of outputs that are read.
    read: int | None = None
    domain: str = ""
    since: int = 7
    until: int = 99
    rtol: float = 2e-5

    def node(self, prefix: str = "") -> onnx.NodeProto:
        """The node. The names of its values begin with a prefix."""
        inputs = [f"{prefix}x{k}" if i is not None else "" for k, i in enumerate(self.inputs)]
        while inputs and not inputs[-1]:
            inputs.pop()
        outputs = [f"{prefix}y{k}" for k in range(self.outputs)]
        return helper.make_node(
            self.operator, inputs, outputs, domain=self.domain, **self.attributes
        )

    def named(self) -> set[str]:
        """The attributes, optional inputs and further outputs that this case sets, in any form."""
        names = set(self.attributes)
        for form in forms(self.operator):
            given = [i for i, x in zip(form.inputs, self.inputs, strict=False) if x is not None]
            names |= {i.name for i in given}
            names |= {o.name for o in form.outputs[1 : self.outputs]}
        return names

    def opsets(self) -> list[int]:
        """An opset of each form that the case fits; of forms that differ in types, the newest."""
        found: dict[str, int] = {}
        for form in forms(self.operator):
            if self.fits(form):
                names = [*form.attributes, *((i.name, i.option) for i in form.inputs)]
                found[str(names)] = max(form.since_version, self.since)
        return list(found.values())

    def fits(self, form: onnx.defs.OpSchema) -> bool:
        """Whether the form has everything that the case sets."""
        given = list(self.inputs)
        required = [a.name for a in form.attributes.values() if a.required]
        return (
            max(form.since_version, 7) <= self.until
            and form.min_input <= len(given) <= form.max_input
            and self.outputs <= form.max_output
            and self.outputs >= form.min_output
            and set(self.attributes) <= set(form.attributes)
            and set(required) <= set(self.attributes)
            and form.since_version >= self.since_form()
        )

    def since_form(self) -> int:
        """The form in effect at the first opset that the case is for."""
        older = [f.since_version for f in forms(self.operator) if f.since_version <= self.since]
        return max(older, default=0)

    def add(self, graph: onnx.GraphProto, prefix: str) -> dict[str, np.ndarray]:
        """Add the node to a graph; returns its inputs."""
        feeds = {}
        for k, given in enumerate(self.inputs):
            name = f"{prefix}x{k}"
            if isinstance(given, K):
                graph.initializer.append(numpy_helper.from_array(given.value, name))
            elif given is not None:
                dtype = helper.np_dtype_to_tensor_dtype(given.dtype)
                graph.input.append(helper.make_tensor_value_info(name, dtype, given.shape))
                feeds[name] = given
        node = self.node(prefix)
        graph.node.append(node)
        graph.output.extend(onnx.ValueInfoProto(name=o) for o in node.output[: self.read])
        return feeds


def model_of(cases: list[Case], opset: int) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """One model of all cases, and its inputs."""
    graph, feeds = onnx.GraphProto(name="cases"), {}
    for k, case in enumerate(cases):
        feeds |= case.add(graph, f"c{k}_")
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), feeds


def c(operator: str, *inputs: object, **attributes: object) -> Case:
    """A case. Keyword arguments that are not fields of a case are attributes."""
    fields = ("outputs", "read", "domain", "since", "until", "rtol")
    options = {name: attributes.pop(name) for name in fields if name in attributes}
    return Case(operator, inputs, attributes, **options)


def f(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Normal numbers."""
    return np.asarray(RNG.normal(size=shape)).astype(dtype)


def i(*shape: int, low: int = -9, high: int = 10, dtype: str = "int64") -> np.ndarray:
    """Integers."""
    return RNG.integers(low, high, shape).astype(dtype)


def a(*values: object, dtype: str = "int64") -> np.ndarray:
    """A vector."""
    return np.array(values, dtype)


def k(*values: object, dtype: str = "int64") -> K:
    """A constant vector."""
    return K(np.array(values, dtype))


def s(value: object, dtype: str = "float32") -> K:
    """A constant scalar."""
    return K(np.array(value, dtype))
