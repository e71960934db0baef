"""Compile a model: import, lower, schedule, build.

The steps are :mod:`importers.onnx.module`, ``passes/relax/pipeline.py`` and ``tvm.compile``. Knows
no operator.
"""

import json
import logging
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relax

from . import build_cache
from .build_key import key_of
from .errors import QuakeError, last_line
from .importers.bound_extents import with_ranges, with_shapes
from .importers.dimensions import Ranges, Shapes, checked_ranges, checked_shapes
from .importers.interface import inputs_of, outputs_of
from .importers.onnx import file as onnx_file
from .importers.onnx import module as onnx_import
from .kernels.data_sizes import sizes_depend_on_data
from .machines.targets import target as resolve_target
from .numerics.number_formats import COMPUTED
from .options import Options
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
from .schedules import RULES, Rule
from .schedules.records.book import Book, Records
from .site_plan import Plan
from .support.compiler_lock import compiling

logger = logging.getLogger(__name__)


def compile(
    model: Any,
    target: str | dict | tvm.target.Target = "native",
    method: str | None = None,
    *,
    example_inputs: Any = None,
    max_error: float | None = None,
    only: Sequence[str] | None = None,
    skip: Sequence[str] | None = None,
    special_values: str = "ieee",
    plan: Plan | str | Path | None = None,
    shapes: Shapes | None = None,
    ranges: Ranges | None = None,
    records: Records = None,
    rules: Sequence[Rule] = RULES,
    precision: str = COMPUTED,
    cache: bool = False,
) -> Model:
    """Compile a model with its nonlinearities lowered and its kernels scheduled.

    Parameters
    ----------
    model : path, onnx.ModelProto, torch.nn.Module, torch.export.ExportedProgram or tvm.IRModule
    target : str, dict or tvm.target.Target
        As for :func:`quake_tvm.target`.
    method : str, optional
        ``"quake1"`` to ``"quake5"`` (``"quake4"`` if this and ``max_error`` are left out), from the
        fastest to the most accurate; ``"lut8"`` and ``"lut16"``, tables; ``"exact"``.
    max_error, only, skip, special_values, plan
        As for :class:`quake_tvm.QuAKE`.
    example_inputs : tensor, tuple of arguments or mapping of keyword to argument
        Only for a torch module, which is exported with them (in eval mode, by torch.export).
    shapes : mapping of input name to shape, optional
        A number is the size of a dimension, a string the name of a dynamic one. Dimensions of one
        name have one size. Dimensions of inputs that are not mentioned stay as they are in the
        model. A static dimension can be made dynamic only in an ONNX model or a torch module.
    ranges : mapping of dimension name to (least, most), optional
        The sizes that a dynamic dimension takes, both ends included. Other sizes are refused
        before the model runs. The names are those of ``shapes``, or the model's own.
    records : path, list of paths, False or None
        Folders of tuning records, which have precedence over the library's own. None: only the
        library's own records. False: no records, only the rules' defaults. Records do not change a
        bit of the outputs, except that with ``max_error`` they may select a more accurate rung.
    rules : sequence of quake_tvm.schedules.Rule
        As for :func:`quake_tvm.pipeline`.
    precision : {"float32", "float16", "bfloat16", "int8"}
        ``"float16"``: constant weights of products and large tables are stored in it.
        ``"bfloat16"``: these, and both operands of products with constant weights and of attention,
        are rounded to it. It is faster on CPUs with BF16 instructions; its results differ from
        those of float32 by the rounding to 8 bits.
        ``"int8"``: matrix products with constant weights take bytes. Weights are rounded to int8
        times a scale for each column, each row of the other operand to bytes of its own scale. It
        is faster on CPUs with dot products of bytes. Sums are int32, and all else is float32.
    cache : bool
        Keep the build on disk, and load it the next time: :mod:`quake_tvm.build_cache`. Anything
        that a build depends on has an influence on its key. An IRModule, and a build with rules or
        operators of the user's, is not kept.

    Returns
    -------
    Model

    Raises
    ------
    QuakeError
        For everything that the user can correct: options, target, file, operators, shapes, ranges,
        records.

    Notes
    -----
    Several threads may call at once. They compile one after another, since TVM's compiler serves
    one thread at a time.

    Examples
    --------
    >>> model = quake_tvm.compile("model.onnx")
    >>> (output,) = model(np.ones((1, 128), np.float32))
    >>> quake_tvm.compile("model.onnx", "raspberry-pi-4", "quake2").export("model.so")
    >>> quake_tvm.compile(torch_module, example_inputs=torch.ones(1, 128))
    """
    # Raises for invalid options, targets and rules before anything else is done.
    options = Options.parse(method, max_error, only, skip, special_values, plan)
    resolved = resolve_target(target)
    book = Book.of(records, resolved)
    parsed, options = options, replace(options, rung=book.rung)
    passes = Pipeline(resolved, options, book.decide, book.trace, rules, precision)
    model, shapes = _exported(model, example_inputs, shapes)
    key = None
    if cache and rules is RULES:
        sizes = checked_shapes(shapes), checked_ranges(ranges)
        key = key_of(model, resolved, parsed, book.folders, sizes, precision)
    if key is not None and (kept := build_cache.find(key)):
        return kept
    built = _compiled(model, passes, shapes, ranges)
    if key is not None:
        build_cache.keep(key, built)
    return built


def _compiled(model: Any, passes: Pipeline, shapes: Shapes | None, ranges: Ranges | None) -> Model:
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


def _exported(model: Any, example_inputs: Any, shapes: Shapes | None) -> tuple[Any, Shapes | None]:
    """A torch module as an exported program, which has the shapes; anything else as it is."""
    torch = sys.modules.get("torch")  # whoever has a module has imported torch
    if torch is None or not isinstance(model, torch.nn.Module):
        if example_inputs is not None:
            raise QuakeError("example_inputs are for a torch module, and this is none")
        return model, shapes
    from .importers.torch.modules import exported

    return exported(model, example_inputs, checked_shapes(shapes))


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
        f"cannot compile a {type(model).__name__}: give an ONNX path or ModelProto, "
        "a torch module or ExportedProgram, or an IRModule"
    )


def _bind(mod: tvm.IRModule, shapes: Shapes, ranges: Ranges) -> tvm.IRModule:
    if "main" not in {name.name_hint for name in mod.get_global_vars()}:
        raise QuakeError("the module has no function named main")
    if not isinstance(mod["main"], relax.Function):
        raise QuakeError("main is no Relax function")
    inputs_of(mod)  # raises for inputs that are not tensors
    return with_ranges(with_shapes(mod, shapes), ranges)
