"""Compile a model, or load the build of it that is kept on disk.

:mod:`build` compiles. It is loaded when there is no kept build. Knows no pass and no operator.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tvm

from . import build_cache
from .build_key import key_of
from .errors import QuakeError
from .importers.dimensions import Ranges, Shapes, checked_ranges, checked_shapes
from .machines.targets import target as resolve_target
from .numerics.number_formats import COMPUTED
from .options import PRECISIONS, Options
from .runtime.model import Model
from .schedules import RULES, Rule
from .schedules.records.book import Book, Records
from .site_plan import Plan
from .support import given


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
    winograd: bool = True,
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
        Only for a torch module, which is exported with them (in eval mode, by torch.export). Numpy
        arrays are taken for tensors.
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
    winograd : bool
        Whether convolutions of 3x3 windows may be computed by Winograd's algorithm, which takes
        fewer multiplications: :mod:`quake_tvm.numerics.winograd` has its error bound. It differs
        from the direct sum in rounding, and may make NaN where that makes an infinity. With
        ``"bfloat16"`` it rounds the transformed operands, and has a larger error.
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
    # Raises for invalid options and targets before anything else is done.
    options = Options.parse(method, max_error, only, skip, special_values, plan)
    given.choice(precision, "precision", PRECISIONS)
    resolved = resolve_target(target)
    book = Book.of(records, resolved)
    model, shapes = _exported(model, example_inputs, shapes)
    key = None
    if cache and rules is RULES:
        sizes = checked_shapes(shapes), checked_ranges(ranges)
        key = key_of(model, resolved, options, book.folders, sizes, precision, winograd)
    if key is not None and (kept := build_cache.find(key)):
        return kept
    from .build import build  # the passes and importers, which a kept build does not need
    from .passes.relax.pipeline import Pipeline

    options = replace(options, rung=book.rung)
    passes = Pipeline(resolved, options, book.decide, book.trace, rules, precision, winograd)
    built = build(model, passes, shapes, ranges)
    if key is not None:
        build_cache.keep(key, built)
    return built


def _exported(model: Any, example_inputs: Any, shapes: Shapes | None) -> tuple[Any, Shapes | None]:
    """A torch module as an exported program, which has the shapes; anything else as it is."""
    torch = sys.modules.get("torch")  # whoever has a module has imported torch
    if torch is None or not isinstance(model, torch.nn.Module):
        if example_inputs is not None:
            raise QuakeError(
                f"example_inputs are for a torch module, not for {type(model).__name__}"
            )
        return model, shapes
    from .importers.torch.modules import exported

    return exported(model, example_inputs, checked_shapes(shapes))
