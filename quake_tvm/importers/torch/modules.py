"""A torch module as an exported program: example inputs, and dynamic dimensions by name.

Knows torch.export, no operator.
"""

import inspect
import logging
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode, is_concrete_int
from torch.utils import _pytree as pytree

from ...errors import QuakeError, first_line
from ...support.compiler_lock import compiling
from ..dimensions import Shapes
from .attributes import Attributes

logger = logging.getLogger(__name__)

_TORCH = str(Path(torch.__file__).parent)
_EXAMPLE = "as example_inputs=(torch.zeros(1, 128),)"


def exported(
    module: torch.nn.Module, example_inputs: Any, shapes: Shapes
) -> tuple[torch.export.ExportedProgram, Shapes]:
    """Export a module in eval mode. Its own mode and its attributes are kept.

    Parameters
    ----------
    module : torch.nn.Module
    example_inputs : torch.Tensor, tuple of arguments or mapping of keyword to argument
        Numpy arrays are taken for tensors.
    shapes : mapping of input name to shape
        Names make a dimension dynamic. Sizes must be those of the example.

    Returns
    -------
    ExportedProgram
    mapping
        The shapes by the names that the program gives its inputs.

    Raises
    ------
    QuakeError
        If the examples or shapes do not fit, if the export fails, or if it fixes a dimension that
        has a name.
    """
    if example_inputs is None:
        raise QuakeError(
            f"a torch module needs example inputs to be exported: give them {_EXAMPLE}"
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise QuakeError(
            "a scripted or traced module cannot be exported: give the module it was made of"
        )
    positional, keyword = _arguments(example_inputs)
    try:
        bound = inspect.signature(module.forward).bind(*positional, **keyword).arguments
    except TypeError as error:
        raise QuakeError(f"example_inputs do not fit the module's forward: {error}") from None
    tensors = {name: a for name, a in bound.items() if isinstance(a, torch.Tensor)}
    for name in shapes:
        if name not in tensors:
            raise QuakeError(f"shapes has no input {name!r}; the inputs: {', '.join(tensors)}")
    dynamic = {
        name: _dynamic(name, a, shapes.get(name, ()))
        if name in tensors
        else pytree.tree_map(lambda leaf: None, a)
        for name, a in bound.items()
    }
    training = [part for part in module.modules() if part.training]
    before = Attributes(module)
    try:
        # Two exports at a time disturb each other.
        with compiling(), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            _try(module.eval(), positional, keyword)
            changed = before.changed()
            if before.only_numbers_changed():  # others may be made once, and not while exporting
                before.restore()
            program = _export(module, positional, keyword, dynamic if shapes else None)
            _check_named(program, shapes)
    finally:
        before.restore()
        for part in training:
            part.training = True
    if changed:
        logger.warning(
            "forward changes the module's %s: the program keeps the values of the export, and the "
            "module those it had; use buffers for what a run may change",
            ", ".join(changed),
        )
    return program, shapes


def _try(module: torch.nn.Module, positional: Any, keyword: Any) -> None:
    """Run the module: it tells a mistake more plainly than the export does.

    It runs on copies of its buffers and arguments, so that what it writes does not stay.
    """
    positional, keyword = pytree.tree_map_only(torch.Tensor, torch.clone, (positional, keyword))
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        if buffers:
            torch.func.functional_call(module, buffers, positional, keyword)
        else:
            module(*positional, **keyword)
    except Exception as error:
        raise QuakeError(
            f"the module fails on its example inputs{_place(module, error)}: {first_line(error)}"
        ) from error


def _export(
    module: torch.nn.Module, positional: Any, keyword: Any, dynamic: Any
) -> torch.export.ExportedProgram:
    try:
        return torch.export.export(
            module, positional, keyword, dynamic_shapes=dynamic, strict=False
        )
    except GuardOnDataDependentSymNode as error:
        raise QuakeError(
            f"data decide an `if`, a loop or a size{_place(module, error)}: choose by torch.where "
            "or torch.cond, take sizes from shapes, or use torch.compile, which splits there"
        ) from error
    except Exception as error:  # torch.export raises any type
        raise QuakeError(
            f"torch.export fails{_place(module, error)}: {first_line(error)}; "
            "torch.compile(..., backend='quake_tvm') leaves such parts to eager mode"
        ) from error


def _check_named(program: torch.export.ExportedProgram, shapes: Shapes) -> None:
    """Raise QuakeError if the export has fixed a dimension that has a name."""
    for node in program.graph.find_nodes(op="placeholder"):
        for axis, n in enumerate(shapes.get(node.name, ())):
            size = node.meta["val"].shape[axis]
            if isinstance(n, str) and is_concrete_int(size):
                raise QuakeError(
                    f"dimension {axis} of input {node.name!r} takes no name {n!r}: torch.export "
                    f"fixes it at {size}, as the module's code does, or as LSTM, GRU and RNN fix "
                    "their steps, which a file of torch.onnx.export(dynamo=False) leaves open"
                )


def _place(module: torch.nn.Module, error: Exception) -> str:
    """The last line of the module's own code on the way to an error, as a remark."""
    own = [method for part in module.modules() for method in vars(type(part)).values()]
    files = {method.__code__.co_filename for method in own if inspect.isfunction(method)}
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename in files and not frame.filename.startswith(_TORCH)
    ]
    last = frames[-1] if frames else None
    return f" in line {last.lineno} of {last.filename} ({last.line})" if last is not None else ""


def _arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    example_inputs = pytree.tree_map_only(np.ndarray, torch.from_numpy, example_inputs)
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, tuple | list):
        return tuple(example_inputs), {}
    return (example_inputs,), {}


def _dynamic(name: str, tensor: torch.Tensor, shape: Any) -> dict[int, Any]:
    """The dynamic dimensions of an input."""
    if shape and len(shape) != tensor.dim():
        raise QuakeError(
            f"shapes gives {name!r} {len(shape)} dimensions, and its example has {tensor.dim()}"
        )
    for n, have in zip(shape, tensor.shape, strict=False):
        if isinstance(n, int) and n != have:
            raise QuakeError(f"shapes gives {name!r} {tuple(shape)}, and its example has "
                             f"{tuple(tensor.shape)}: give an example of these sizes")  # fmt: skip
        if isinstance(n, str) and have < 2:  # torch takes 0 and 1 for fixed
            raise QuakeError(f"shapes names a dimension of {name!r} {n!r}, and its example has "
                             f"{have} there: give an example with 2 or more")  # fmt: skip
    return {axis: torch.export.Dim.AUTO for axis, n in enumerate(shape) if isinstance(n, str)}
