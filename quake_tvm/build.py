"""Import, lower, schedule and build a model.

The steps are those of :func:`import_model`, ``passes/relax/pipeline.py`` and ``tvm.compile``. Knows
no operator.
"""

import json
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relax

from .errors import QuakeError, last_line
from .importers.bound_extents import with_ranges, with_shapes
from .importers.dimensions import Ranges, Shapes, checked_ranges, checked_shapes
from .importers.interface import inputs_of, outputs_of
from .importers.onnx import file as onnx_file
from .importers.onnx import module as onnx_import
from .kernels.data_sizes import sizes_depend_on_data
from .passes.relax import lower_kernels
from .passes.relax.constant_functions import returning, with_weights
from .passes.relax.output_ownership import owned_outputs
from .passes.relax.pipeline import Pipeline
from .passes.relax.report import report
from .runtime.description import DESCRIPTION
from .runtime.extent_limits import ExtentLimits
from .runtime.model import Model
from .runtime.model_tensor import ModelTensor
from .runtime.state import STATE
from .support.compiler_lock import compiling

logger = logging.getLogger(__name__)


def build(model: Any, passes: Pipeline, shapes: Shapes | None, ranges: Ranges | None) -> Model:
    """Compile a model with the passes of a pipeline.

    Parameters
    ----------
    model, shapes, ranges
        As for :func:`quake_tvm.compile`.
    passes : Pipeline

    Raises
    ------
    QuakeError
        If the model cannot be imported or compiled.
    """
    mod = import_model(model, shapes, ranges)
    try:
        return _build(mod, passes, {n for s in (shapes or {}).values() for n in s})
    except QuakeError:
        raise
    except IndexError as error:  # from a check of indices that become constant by folding
        raise QuakeError(str(error)) from None
    except Exception as error:
        dynamic = [i.name for i in inputs_of(mod) if any(isinstance(n, str) for n in i.shape)]
        reason = last_line(error)
        if not dynamic:
            raise QuakeError(f"TVM cannot compile this model: {reason}") from error
        raise QuakeError(
            f"TVM cannot compile this model with dynamic dimensions ({reason}); "
            f"give shapes for: {', '.join(f'{name}=...' for name in dynamic)}"
        ) from error


@contextmanager
def _timed(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    logger.info("%s in %.2f s", what, time.perf_counter() - start)


@compiling()
def _build(mod: tvm.IRModule, passes: Pipeline, names: Collection[int | str]) -> Model:
    target, options = passes.target, passes.options
    with target:
        with _timed("lowered the nonlinearities"):
            lowered = passes.upto("lower")(mod)
        _check_names(names, inputs_of(mod), inputs_of(lowered))
        with _timed("fused and scheduled the kernels"):
            scheduled = passes.between("fuse", "schedule")(lowered)
        summary = report(lowered, options, scheduled)
        limits = ExtentLimits.of(lowered["main"])
        state = [str(text) for text in (lowered["main"].attrs or {}).get(STATE, ())]
        last = -len(state) or None  # the state stands behind the inputs and behind the outputs
        description = json.dumps(
            {
                "inputs": [asdict(i) for i in inputs_of(lowered)[:last]],
                "outputs": [asdict(o) for o in outputs_of(lowered)[:last]],
                "state": state,
                "conditions": limits.conditions,
                "ranges": limits.ranges,
                "owned": owned_outputs(scheduled)[:last],
                "sizes_depend_on_data": sizes_depend_on_data(scheduled["main"]),
                "report": json.loads(summary.to_json()),
                "options": {
                    "target": str(target),
                    "method": options.method,
                    "max_error": options.max_error,
                    "special_values": "ieee" if options.ieee else "finite",
                    "precision": passes.precision,
                    "winograd": passes.winograd,
                },
            }
        )
        scheduled = with_weights(scheduled)
        scheduled[DESCRIPTION] = returning(DESCRIPTION, tvm.ir.StringImm(description))
        with _timed("generated code"):
            machine = passes.between("finish", "finish")(scheduled)
            executable = tvm.compile(
                machine,
                target,
                relax_pipeline=tvm.transform.Sequential([]),
                tir_pipeline=lower_kernels.NAME,
            )
    return Model(executable, description)


def _check_names(
    names: Collection[int | str], asked: Sequence[ModelTensor], found: Sequence[ModelTensor]
) -> None:
    """Raise unless the dimensions with names that the caller gave are dynamic in the end."""
    for before, after in zip(asked, found, strict=True):
        for name, n in zip(before.shape, after.shape, strict=True):
            if name in names and isinstance(name, str) and isinstance(n, int):
                raise QuakeError(
                    f"dimension {name!r} of input {before.name!r} cannot be dynamic: the model "
                    f"needs the size {n}"
                )


@compiling()
def import_model(
    model: Any, shapes: Shapes | None = None, ranges: Ranges | None = None
) -> tvm.IRModule:
    """A Relax module from any model that :func:`compile` takes.

    Raises
    ------
    QuakeError
        For a model that cannot be imported, and for shapes and ranges that do not fit.
    """
    shapes, ranges = checked_shapes(shapes), checked_ranges(ranges)
    if isinstance(model, str | Path):
        with _timed(f"imported {model}"):
            return onnx_import.to_relax(onnx_file.opened(model), shapes, ranges)
    if isinstance(model, onnx.ModelProto):
        return onnx_import.to_relax(onnx_file.sound(model), shapes, ranges)
    if isinstance(model, tvm.IRModule):
        return _bind(model, shapes, ranges)
    if type(model).__module__.startswith("torch.export"):
        from .importers import torch as torch_import  # imports torch

        try:
            imported = torch_import.to_relax(model)
        except QuakeError:
            raise
        except Exception as error:
            raise QuakeError(f"cannot import the torch program: {last_line(error)}") from error
        return _bind(imported, shapes, ranges)
    raise QuakeError(
        f"cannot compile a value of type {type(model).__name__}: give an ONNX path or ModelProto, "
        "a torch module or ExportedProgram, or an IRModule"
    )


def _bind(mod: tvm.IRModule, shapes: Shapes, ranges: Ranges) -> tvm.IRModule:
    if "main" not in {name.name_hint for name in mod.get_global_vars()}:
        raise QuakeError("the module has no function named main")
    if not isinstance(mod["main"], relax.Function):
        raise QuakeError("main is no Relax function")
    inputs_of(mod)  # raises for inputs that are not tensors
    return with_ranges(with_shapes(mod, shapes), ranges)
