"""The cases of a benchmark: kernels as small ONNX graphs, and ONNX models from files.

All runtimes that read ONNX get the same graph; PyTorch gets its own function for it. Knows no
runtime.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import QuakeError
from ..importers.onnx import file as onnx_file
from ..importers.onnx.dimensions import is_named
from ..numerics.operators import OPERATORS
from ..runtime.model_tensor import ModelTensor

# From the module ``torch`` to the kernel as a function of tensors.
Torch = Callable[[Any], Callable[..., Any]]
Nodes = list[onnx.NodeProto]

SIZES = (1 << 12, 1 << 18, 1 << 24)
ROWS = ((1536, 128), (256, 1024), (64, 4096), (12, 197, 197))
CHAIN = (64, 1024)
PRODUCT = (128, 384, 1536)
# For kernels of up to NET elements the time of a call of the same kernel over TINY elements is
# subtracted.
NET, TINY = 1 << 20, 16


@dataclass(frozen=True)
class Case:
    """One kernel or model to measure.

    Attributes
    ----------
    name, shape : str
    model : onnx.ModelProto
        With static shapes.
    elements : int or None
        The elements of a kernel's input or result, whichever has more; None for a whole model.
    torch : callable or None
        The same for PyTorch; None if there is no equivalent.
    multiply : onnx.ModelProto or None
        For element-wise kernels: the same tensor times a constant.
    tiny : Case or None
        The same kernel over TINY elements. Its time is the overhead of a call, in the runtime and
        in Python. It is subtracted, so that small kernels are compared without it.
    sizes : mapping of str to int
        The size that each dynamic dimension of a model has here, by its name in the model.
    """

    name: str
    shape: str
    model: onnx.ModelProto
    elements: int | None = None
    torch: Torch | None = None
    multiply: onnx.ModelProto | None = None
    tiny: "Case | None" = None
    sizes: Mapping[str, int] = field(default_factory=dict)


def _node(kind: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs or "x"), ["y"], **attributes)


# Operator to its ONNX nodes from x to y, and its PyTorch function.
ELEMENTWISE: dict[str, tuple[Nodes, Torch]] = {
    "exp": ([_node("Exp")], lambda torch: torch.exp),
    "sigmoid": ([_node("Sigmoid")], lambda torch: torch.nn.Sigmoid()),
    "tanh": ([_node("Tanh")], lambda torch: torch.nn.Tanh()),
    "silu": (
        [helper.make_node("Sigmoid", ["x"], ["s"]), _node("Mul", "x", "s")],
        lambda torch: torch.nn.SiLU(),
    ),
    "gelu": ([_node("Gelu")], lambda torch: torch.nn.GELU()),
    "gelu_tanh": (
        [_node("Gelu", approximate="tanh")],
        lambda torch: torch.nn.GELU(approximate="tanh"),
    ),
    "softplus": ([_node("Softplus")], lambda torch: torch.nn.Softplus()),
    "mish": ([_node("Mish")], lambda torch: torch.nn.Mish()),
    "elu": ([_node("Elu")], lambda torch: torch.nn.ELU()),
}
PRODUCTS = ("matmul", "matmul_gelu")
KERNELS = ("softmax", "softmax_sigmoid", *ELEMENTWISE, *PRODUCTS)
# Operators over rows, and the cases that are counted instead of timed, at one small size.
ALONG_ROWS = {
    "softmax": _node("Softmax", axis=-1),
    "log_softmax": _node("LogSoftmax", axis=-1),
    "logsumexp": _node("ReduceLogSumExp", "x", "last"),
}
SMALL = (*ALONG_ROWS, *ELEMENTWISE)
SMALL_ROWS = (64, 128)


def _model(
    nodes: Nodes,
    shape: Sequence[int],
    result: Sequence[int],
    constants: Mapping[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "kernel",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(v, k) for k, v in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _net(make: Callable[..., Case], name: str, shape: tuple[int, ...]) -> Case:
    """The case, with a tiny version if it is so small that the overhead of a call matters."""
    case = make(name, shape)
    if case.elements is None or case.elements > NET:
        return case
    return replace(case, tiny=make(name, (*[1 for _ in shape[1:]], TINY)))


def _softmax(name: str, shape: tuple[int, ...]) -> Case:
    model = _model([_node("Softmax", axis=-1)], shape, shape)
    return Case(name, _text(shape), model, math.prod(shape), lambda torch: torch.nn.Softmax(dim=-1))


def _softmax_sigmoid(name: str, shape: tuple[int, ...]) -> Case:
    """A sigmoid followed by a softmax, as in a gate before attention."""
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), _node("Softmax", "s", axis=-1)]

    def torch(torch: Any) -> Any:
        return torch.nn.Sequential(torch.nn.Sigmoid(), torch.nn.Softmax(dim=-1))

    return Case(name, _text(shape), _model(nodes, shape, shape), math.prod(shape), torch)


def _elementwise(name: str, shape: tuple[int, ...]) -> Case:
    nodes, torch = ELEMENTWISE[name]
    times = _model([_node("Mul", "x", "c")], shape, shape, {"c": np.array(1.25, np.float32)})
    return Case(name, _text(shape), _model(nodes, shape, shape), math.prod(shape), torch, times)


def _product(name: str) -> Case:
    rows, depth, columns = PRODUCT
    generator = np.random.default_rng(0)
    constants = {"w": generator.normal(0, depth**-0.5, (depth, columns)).astype(np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"])]
    if name == "matmul":
        nodes = [_node("MatMul", "x", "w")]
    else:
        constants["b"] = generator.normal(0, 1, columns).astype(np.float32)
        nodes += [helper.make_node("Add", ["p", "b"], ["a"]), _node("Gelu", "a")]

    def torch(torch: Any) -> Any:
        linear = torch.nn.Linear(depth, columns, bias="b" in constants)
        linear.weight.data = torch.from_numpy(constants["w"].T.copy())
        if name == "matmul":
            return linear.eval()
        linear.bias.data = torch.from_numpy(constants["b"])
        return torch.nn.Sequential(linear, torch.nn.GELU()).eval()

    model = _model(nodes, (rows, depth), (rows, columns), constants)
    return Case(name, _text(PRODUCT), model, rows * columns, torch)


def kernels(names: Sequence[str] | None = None) -> list[Case]:
    """The kernels with these names, at all their sizes; all kernels by default.

    Raises
    ------
    QuakeError
        For an unknown name.
    """
    cases = []
    for name in _chosen(names, KERNELS):
        if name in ELEMENTWISE:
            cases += [_net(_elementwise, name, (size,)) for size in SIZES]
        elif name == "softmax_sigmoid":
            cases.append(_net(_softmax_sigmoid, name, CHAIN))
        elif name == "softmax":
            cases += [_net(_softmax, name, shape) for shape in ROWS]
        else:
            cases.append(_product(name))
    return cases


def small(names: Sequence[str] | None = None) -> list[Case]:
    """Small kernels for counting: element-wise operators and operators over rows.

    Raises
    ------
    QuakeError
        For an unknown name.
    """
    return [
        _elementwise(name, SIZES[:1]) if name in ELEMENTWISE else _along_rows(name)
        for name in _chosen(names, SMALL)
    ]


def _along_rows(name: str) -> Case:
    shape, result, constants = SMALL_ROWS, SMALL_ROWS, {}
    if OPERATORS[name].reduces:
        result, constants = (*shape[:-1], 1), {"last": np.array([-1])}
    model = _model([ALONG_ROWS[name]], shape, result, constants)
    return Case(name, _text(shape), model, math.prod(shape))


def _chosen(names: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    """The names after a check that they are known; all known names by default."""
    for name in names or ():
        if name not in known:
            raise QuakeError(f"unknown kernel {name!r}; choose from: {', '.join(known)}")
    return names or known


def models(paths: Sequence[Path], shapes: Mapping[str, Sequence[int]]) -> list[Case]:
    """ONNX models from files, each with the shapes that it has inputs for.

    Raises
    ------
    QuakeError
        For a file that is no model; for a shape that does not fit or is missing; and for a shape of
        an input that no model has.
    """
    cases, unknown, known = [], set(shapes), dict[str, None]()
    for path in paths:
        model = onnx_file.read(path)
        names = [value.name for value in onnx_file.inputs(model)]
        unknown.difference_update(names)
        known |= dict.fromkeys(names)
        own = {name: shape for name, shape in shapes.items() if name in names}
        sized = onnx_file.with_shapes(model, own)
        _refuse_dynamic(sized, path.name)
        text = ", ".join(_text(shape) for shape in own.values())
        cases.append(Case(path.name, text, sized, sizes=_sizes(model, sized)))
    if unknown:
        raise QuakeError(
            f"no model has an input named {', '.join(sorted(unknown))}; "
            f"the inputs: {', '.join(known)}"
        )
    return cases


def _refuse_dynamic(model: onnx.ModelProto, name: str) -> None:
    """Raise if sizes are missing; the error has options that give them all."""
    missing: list[str] = []
    options = []
    for value in onnx_file.inputs(model):
        dims = value.type.tensor_type.shape.dim
        # An operation on two names follows from these.
        names = dict.fromkeys(d.dim_param for d in dims if d.dim_param.isidentifier())
        if new := [name for name in names if name not in missing]:
            missing += new
            sizes = [d.dim_value or (128 if axis else 1) for axis, d in enumerate(dims)]
            options.append(f"--shape {value.name}={','.join(map(str, sizes))}")
    if missing:
        raise QuakeError(
            f"{name} has dynamic dimensions ({', '.join(missing)}): give the sizes to measure at, "
            f"as {' '.join(options)}"
        )


def _sizes(model: onnx.ModelProto, sized: onnx.ModelProto) -> dict[str, int]:
    """The size of each dynamic dimension of a model."""
    return {
        old.dim_param if is_named(old) else f"{before.name}_{axis}": new.dim_value
        for before, after in zip(onnx_file.inputs(model), onnx_file.inputs(sized), strict=True)
        for axis, (old, new) in enumerate(
            zip(before.type.tensor_type.shape.dim, after.type.tensor_type.shape.dim, strict=False)
        )
        if not old.HasField("dim_value")
    }


def random_feeds(inputs: Sequence[ModelTensor]) -> dict[str, np.ndarray]:
    """Random inputs: normal floats; 0 and 1 for integers, as valid tokens; ones for masks."""
    generator = np.random.default_rng(0)
    feeds = {}
    for spec in inputs:
        dtype, shape = np.dtype(spec.dtype), [int(n) for n in spec.shape]
        if np.issubdtype(dtype, np.floating):
            feeds[spec.name] = generator.standard_normal(shape, np.float32).astype(dtype)
        elif np.issubdtype(dtype, np.integer) and "mask" not in spec.name.lower():
            feeds[spec.name] = generator.integers(0, 2, shape, dtype)
        else:
            feeds[spec.name] = np.ones(shape, dtype)
    return feeds
