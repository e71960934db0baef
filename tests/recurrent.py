"""Recurrent layers for tests: random ones, as ONNX nodes, and in float64."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# Functions of x, alpha and beta, and the parameters that each has, with ONNX Runtime's defaults.
FUNCTIONS = {
    "Sigmoid": (lambda x, a, b: 1 / (1 + np.exp(-x)), {}),
    "Tanh": (lambda x, a, b: np.tanh(x), {}),
    "Relu": (lambda x, a, b: np.maximum(x, 0), {}),
    "Softplus": (lambda x, a, b: np.logaddexp(x, 0), {}),
    "Softsign": (lambda x, a, b: x / (1 + np.abs(x)), {}),
    "Affine": (lambda x, a, b: a * x + b, {"alpha": 1.0, "beta": 0.0}),
    "Elu": (lambda x, a, b: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))), {"alpha": 1.0}),
    "HardSigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), {"alpha": 0.2, "beta": 0.5}),
    "LeakyRelu": (lambda x, a, b: np.where(x >= 0, x, a * x), {"alpha": 0.01}),
    "ScaledTanh": (lambda x, a, b: a * np.tanh(b * x), {"alpha": 1.0, "beta": 1.0}),
    "ThresholdedRelu": (lambda x, a, b: np.where(x >= a, x, 0), {"alpha": 1.0}),
}


@dataclass
class Layer:
    """A node: its operator, operands (None if left out) and attributes. ``x`` has steps first."""

    operator: str
    x: np.ndarray
    weights: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray | None = None
    lengths: np.ndarray | None = None
    states: list[np.ndarray | None] = field(default_factory=list)
    peepholes: np.ndarray | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def reverse(self) -> list[bool]:
        """For each direction, whether it begins with the last step."""
        direction = self.attributes.get("direction", "forward")
        return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]

    def expected(self) -> list[np.ndarray]:
        """The outputs in float64, with steps first, whatever the layout."""
        directions = [self._direction(d, back) for d, back in enumerate(self.reverse)]
        ys, *states = zip(*directions, strict=True)
        return [np.stack(ys, 1), *map(np.stack, states)]

    def rows(self, values: np.ndarray) -> np.ndarray:
        """Rows as the products take them."""
        return values

    def _functions(self, d: int) -> list:
        names = self.attributes.get("activations") or DEFAULTS[self.operator] * len(self.reverse)
        left = {p: list(self.attributes.get(f"activation_{p}", [])) for p in ("alpha", "beta")}
        found = []
        for name in names:
            function, defaults = FUNCTIONS[name]
            values = {p: left[p].pop(0) if left[p] else v for p, v in defaults.items()}
            found.append((function, values.get("alpha", 0), values.get("beta", 0)))
        count = len(DEFAULTS[self.operator])
        clip = self.attributes.get("clip", np.inf)
        # As in ONNX Runtime, the last function of an LSTM gets its state as it is.
        last = 2 if self.operator == "LSTM" else None
        limits = [np.inf if k % 3 == last else clip for k in range(len(found))]
        made = [
            lambda x, f=f, a=a, b=b, n=n: f(np.clip(x, -n, n), a, b)
            for (f, a, b), n in zip(found, limits, strict=True)
        ]
        return made[d * count : (d + 1) * count]

    def _direction(self, d: int, back: bool) -> list[np.ndarray]:
        steps, batch, _ = self.x.shape
        hidden = self.recurrent.shape[-1]
        count = GATES[self.operator]
        w, r = (each[d].astype(np.float64) for each in (self.weights, self.recurrent))
        zero = np.zeros(2 * count * hidden)
        wb, rb = np.split(zero if self.bias is None else self.bias[d].astype(np.float64), 2)
        number = 2 if self.operator == "LSTM" else 1
        given = [*self.states, None, None][:number]
        states = [
            np.zeros((batch, hidden)) if s is None else s[d].astype(np.float64) for s in given
        ]
        y = np.zeros((steps, batch, hidden))
        for t in range(steps)[:: -1 if back else 1]:
            new = self._step(self.rows(self.x[t]) @ w.T, states, r, wb, rb, d)
            ends = np.full(batch, steps) if self.lengths is None else self.lengths
            inside = t < ends[:, None]
            states = [np.where(inside, n, s) for n, s in zip(new, states, strict=True)]
            y[t] = np.where(inside, new[0], 0)
        return [y, *states]

    def _step(self, x, states, r, wb, rb, d):
        hidden = r.shape[-1]
        f, *others = self._functions(d)
        h = states[0]

        def part(array, g):
            return array[..., g * hidden : (g + 1) * hidden]

        def total(g, h=h):
            return (
                part(x, g)
                + part(wb, g)
                + part(rb, g)
                + self.rows(h) @ r[g * hidden : (g + 1) * hidden].T
            )

        if self.operator == "RNN":
            return [f(total(0))]
        if self.operator == "GRU":
            z, reset = f(total(0)), f(total(1))
            if self.attributes.get("linear_before_reset"):
                inner = self.rows(h) @ r[2 * hidden :].T + part(rb, 2)
                new = others[0](part(x, 2) + part(wb, 2) + reset * inner)
            else:
                new = others[0](total(2, reset * h))
            return [(1 - z) * new + z * h]
        g, last = others
        c = states[1]
        p = np.zeros(3 * hidden) if self.peepholes is None else self.peepholes[d].astype(np.float64)
        i = f(total(0) + part(p, 0) * c)
        forget = 1 - i if self.attributes.get("input_forget") else f(total(2) + part(p, 2) * c)
        c = forget * c + i * g(total(3))
        return [f(total(1) + part(p, 1) * c) * last(c), c]

    def operands(self) -> list[np.ndarray | None]:
        """The node's inputs, in the layout of its attributes."""
        x, states = self.x, list(self.states)
        if self.attributes.get("layout"):
            x = x.swapaxes(0, 1)
            states = [None if s is None else s.swapaxes(0, 1) for s in states]
        first = [x, self.weights, self.recurrent, self.bias, self.lengths]
        return [*first, *states, *([] if self.peepholes is None else [self.peepholes])]


def random_layer(rng: np.random.Generator, size: int = 20) -> Layer:
    """A layer with any attributes and operands of the standard."""
    operator = str(rng.choice(["RNN", "GRU", "LSTM"]))
    gates, hidden = GATES[operator], int(rng.integers(1, size))
    steps, batch, features = (int(rng.integers(1, n)) for n in (7, 7, 9))
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    directions = 1 + (direction == "bidirectional")

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def perhaps(*shape):
        return normal(*shape) if rng.random() < 0.5 else None

    attributes: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    if rng.random() < 0.4:
        names = [str(n) for n in rng.choice(list(FUNCTIONS), len(DEFAULTS[operator]) * directions)]
        attributes["activations"] = names
        for p in ("alpha", "beta"):
            having = [FUNCTIONS[n][1] for n in names if p in FUNCTIONS[n][1]]
            if having:
                attributes[f"activation_{p}"] = [float(v) for v in rng.uniform(0.1, 1, len(having))]
    if rng.random() < 0.3:
        attributes["clip"] = float(np.float32(rng.uniform(0.3, 2)))
    if operator == "GRU":
        attributes["linear_before_reset"] = int(rng.integers(2))
    if operator == "LSTM":
        attributes["input_forget"] = int(rng.random() < 0.2)
    lengths = rng.integers(1, steps + 1, batch).astype(np.int32) if rng.random() < 0.4 else None
    if lengths is not None:
        lengths[rng.integers(batch)] = steps
    scale = np.float32(1 / np.sqrt(hidden))
    return Layer(
        operator,
        normal(steps, batch, features),
        normal(directions, gates * hidden, features) / np.float32(np.sqrt(features)),
        normal(directions, gates * hidden, hidden) * scale,
        perhaps(directions, 2 * gates * hidden),
        lengths,
        [perhaps(directions, batch, hidden) for _ in range(1 + (operator == "LSTM"))],
        perhaps(directions, 3 * hidden) if operator == "LSTM" else None,
        attributes,
    )


def model(
    layers: list[Layer], opset: int = 14, constant: bool = True, dims: dict | None = None
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """One model of all layers with all their outputs, and its inputs.

    ``constant``: whether weights are constants. ``dims``: names of the steps and rows, if open.
    """
    nodes, inputs, constants, outputs, feeds = [], [], [], [], {}
    for k, layer in enumerate(layers):
        names = []
        for j, array in enumerate(layer.operands()):
            names.append("" if array is None else f"x{k}_{j}")
            if array is None:
                continue
            if constant and j in (1, 2, 3, 7):
                constants.append(numpy_helper.from_array(array, names[-1]))
                continue
            feeds[names[-1]] = array
            shape = list(array.shape)
            if dims and j in (0, 4, 5, 6):
                axes = {0: {0: "steps", 1: "rows"}, 4: {0: "rows"}, 5: {1: "rows"}, 6: {1: "rows"}}
                shape = [axes[j].get(axis, n) for axis, n in enumerate(shape)]
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            inputs.append(helper.make_tensor_value_info(names[-1], kind, shape))
        made = [f"y{k}_{j}" for j in range(3 if layer.operator == "LSTM" else 2)]
        nodes.append(helper.make_node(layer.operator, names, made, **layer.attributes))
        outputs += [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * (3 + (j == 0)))
            for j, name in enumerate(made)
        ]
    graph = helper.make_graph(nodes, "layers", inputs, outputs, constants)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    ), feeds


def expected(layers: list[Layer]) -> list[np.ndarray]:
    """The outputs of :func:`model` in float64."""
    found = []
    for layer in layers:
        y, *states = layer.expected()
        if layer.attributes.get("layout"):
            y, states = y.transpose(2, 0, 1, 3), [s.swapaxes(0, 1) for s in states]
        found += [y, *states]
    return found


def conditions(layers: list[Layer]) -> list[float]:
    """For each output of :func:`model`, how much larger its relative error is than the weights'.

    Unbounded functions let states grow, and with them every error.
    """
    change, rng, found = 2.0**-20, np.random.default_rng(0), []
    for layer in layers:
        weights, states = (
            array * (1 + change * rng.choice([-1, 1], array.shape))
            for array in (layer.weights, layer.recurrent)
        )
        other = replace(layer, weights=weights, recurrent=states).expected()
        for y, changed in zip(layer.expected(), other, strict=True):
            found.append(np.abs(changed - y).max() / max(1.0, np.abs(y).max()) / change)
    return found
