"""Compile a model: import, lower, schedule, build.

The steps are :mod:`importers.onnx.module`, ``passes/relax/pipeline.py`` and ``tvm.compile``. Knows
no operator.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relax

from .errors import QuakeError, last_line
from .importers.onnx import file as onnx_file
from .importers.onnx import module as onnx_import
from .kernels.data_sizes import sizes_depend_on_data
from .machines.targets import target as resolve_target
from .options import Options
from .passes.relax.output_ownership import owned_outputs
from .passes.relax.pipeline import Pipeline
from .passes.relax.report import report
from .runtime.description import CONDITIONS, DESCRIPTION, check_conditions
from .runtime.model import Model
from .runtime.model_input import Input
from .schedules import RULES, Rule
from .schedules.records.book import Book, Records
from .site_plan import Plan
from .support import given
from .support.compiler_lock import compiling

logger = logging.getLogger(__name__)


def compile(
    model: Any,
    target: str | dict | tvm.target.Target = "native",
    method: str | None = None,
    *,
    max_error: float | None = None,
    only: Sequence[str] | None = None,
    skip: Sequence[str] | None = None,
    special_values: str = "ieee",
    plan: Plan | str | Path | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    records: Records = None,
    rules: Sequence[Rule] = RULES,
) -> Model:
    """Compile a model with its nonlinearities lowered and its kernels scheduled.

    Parameters
    ----------
    model : path, onnx.ModelProto, torch.export.ExportedProgram or tvm.IRModule
    target : str, dict or tvm.target.Target
        As for :func:`quake_tvm.target`.
    method, max_error, only, skip, special_values, plan
        As for :class:`quake_tvm.QuAKE`.
    shapes : mapping of input name to shape, optional
        Static shapes for symbolic dimensions. Other symbolic dimensions stay dynamic.
    records : path, list of paths, False or None
        Folders of tuning records, which have precedence over the library's own. None: only the
        library's own records. False: no records, only the rules' defaults. Records do not change a
        bit of the outputs, except that with ``max_error`` they may select a more accurate rung.
    rules : sequence of quake_tvm.schedules.Rule
        As for :func:`quake_tvm.pipeline`.

    Returns
    -------
    Model

    Raises
    ------
    QuakeError
        For everything that the user can correct: options, target, file, operators, shapes, records.

    Notes
    -----
    Several threads may call at once. They compile one after another, since TVM's compiler serves
    one
    thread at a time.
    """
    # Raises for invalid options, targets and rules before anything else is done.
    options = Options.parse(method, max_error, only, skip, special_values, plan)
    resolved = resolve_target(target)
    book = Book.of(records, resolved)
    options = replace(options, rung=book.rung)
    passes = Pipeline(resolved, options, book.decide, book.trace, rules)
    mod = import_model(model, shapes)
    try:
        return _build(mod, passes)
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
def _build(mod: tvm.IRModule, passes: Pipeline) -> Model:
    target, options = passes.target, passes.options
    with target:
        with _timed("lowered the nonlinearities"):
            lowered = passes.upto("lower")(mod)
        with _timed("fused and scheduled the kernels"):
            scheduled = passes.between("fuse", "schedule")(lowered)
        summary = report(lowered, options, scheduled)
        description = json.dumps(
            {
                "inputs": [asdict(i) for i in inputs_of(lowered)],
                "conditions": _conditions(lowered),
                "owned": owned_outputs(scheduled),
                "sizes_depend_on_data": sizes_depend_on_data(scheduled["main"]),
                "report": json.loads(summary.to_json()),
                "options": {
                    "target": str(target),
                    "method": options.method,
                    "max_error": options.max_error,
                    "special_values": "ieee" if options.ieee else "finite",
                },
            }
        )
        scheduled = tvm.IRModule(scheduled.functions, attrs=scheduled.attrs)
        scheduled[DESCRIPTION] = _describe(description)
        with _timed("generated code"):
            machine = passes.between("finish", "finish")(scheduled)
            executable = tvm.compile(machine, target, relax_pipeline=tvm.transform.Sequential([]))
    return Model(executable, description)


def _describe(description: str) -> relax.Function:
    """A function for the virtual machine that returns the text."""
    builder = relax.BlockBuilder()
    with builder.function(DESCRIPTION, []):
        builder.emit_func_output(tvm.ir.StringImm(description))
    return builder.get()[DESCRIPTION]


@compiling()
def import_model(model: Any, shapes: Mapping[str, Sequence[int]] | None = None) -> tvm.IRModule:
    """A Relax module from any model that :func:`compile` takes.

    Raises
    ------
    QuakeError
        For a model that cannot be imported, and for shapes that do not fit.
    """
    shapes = checked_shapes(shapes)
    if isinstance(model, str | Path):
        with _timed(f"imported {model}"):
            return onnx_import.to_relax(onnx_file.read(model), shapes)
    if isinstance(model, onnx.ModelProto):
        return onnx_import.to_relax(onnx_file.sound(model), shapes)
    if isinstance(model, tvm.IRModule):
        return _bind_shapes(model, shapes)
    if type(model).__module__.startswith("torch.export"):
        from .importers import torch as torch_import  # imports torch

        try:
            imported = torch_import.to_relax(model)
        except QuakeError:
            raise
        except Exception as error:
            raise QuakeError(f"cannot import the torch program: {last_line(error)}") from error
        return _bind_shapes(imported, shapes)
    raise QuakeError(
        f"cannot compile a {type(model).__name__}: give an ONNX path or ModelProto, "
        "a torch ExportedProgram or an IRModule"
    )


def checked_shapes(shapes: Any) -> dict[str, list[int]]:
    """The shapes as lists of ints.

    Raises
    ------
    QuakeError
        For anything but a mapping of input names to valid shapes.
    """
    example = "give a mapping of input name to shape, as shapes={'x': (1, 128)}"
    if shapes is None:
        return {}
    if not isinstance(shapes, Mapping):
        raise QuakeError(f"shapes is {shapes!s:.60}: {example}")
    return {name: given.shape(shape, repr(name)) for name, shape in shapes.items()}


def _bind_shapes(mod: tvm.IRModule, shapes: Mapping[str, Sequence[int]]) -> tvm.IRModule:
    values: dict[Any, int] = {}
    if "main" not in {name.name_hint for name in mod.get_global_vars()}:
        raise QuakeError("the module has no function named main")
    if not isinstance(mod["main"], relax.Function):
        raise QuakeError("main is no Relax function")
    inputs_of(mod)  # raises for inputs that are not tensors
    parameters = {p.name: p for p in mod["main"].params}
    for name, shape in shapes.items():
        if name not in parameters:
            raise QuakeError(f"no input {name!r}; the inputs: {', '.join(parameters)}")
        dims, given = list(parameters[name].ty.shape), [int(n) for n in shape]
        fits = len(dims) == len(given) and all(
            n == (d.value if hasattr(d, "value") else values.setdefault(d, n))
            for d, n in zip(dims, given, strict=True)
        )
        if not fits:
            wanted = ", ".join(str(getattr(d, "value", d)) for d in dims)
            raise QuakeError(f"shape {tuple(given)} does not fit input {name!r} ({wanted})")
    check_conditions(_conditions(mod), {str(v.name): n for v, n in values.items()})
    return relax.transform.BindSymbolicVars(values, "main")(mod) if values else mod


def _conditions(mod: tvm.IRModule) -> list[str]:
    attributes = mod["main"].attrs
    return (
        [str(c) for c in attributes[CONDITIONS]] if attributes and CONDITIONS in attributes else []
    )


def inputs_of(mod: tvm.IRModule) -> list[Input]:
    """The inputs of ``main``, without weights that are bound in the module."""
    main = mod["main"]
    count = int(main.attrs.get("num_input", len(main.params))) if main.attrs else len(main.params)
    found = []
    for parameter in main.params[:count]:
        ty = parameter.ty
        if not isinstance(ty, relax.TensorType) or ty.shape is None:
            raise QuakeError(
                f"the input {parameter.name!r} is a {ty}: main takes tensors of known shape"
            )
        shape = tuple(int(n) if hasattr(n, "value") else str(n) for n in ty.shape)
        found.append(Input(parameter.name, shape, str(ty.dtype)))
    return found
