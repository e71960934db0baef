"""Convert an ONNX model to a Relax module that TVM can compile.

The steps, in this order: set the inputs' shapes, inline functions, make names unique, leave out
nodes that nothing reads, refuse features that would be ignored, rewrite operators that TVM's
importer gets wrong, fold what computes shapes and other constants, take the branches and unroll the
loops that are known, replace tensors without elements, import. Knows nothing of nonlinearities.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import onnx
import tvm
from tvm import relax

from ...errors import QuakeError, last_line
from ..bound_extents import with_ranges
from ..dimensions import Ranges, Shapes
from . import functions, loops, rewrites
from .check import check
from .converters import CONVERTERS, READ_AS_SIZES
from .empty import without_empty
from .extents import Limit, NeedsLimit
from .external import array
from .file import inputs, is_dynamic, with_shapes
from .fold import fold_shapes
from .importer import Importer, NotTaken
from .tensors import check_types
from .unique_names import with_unique_names
from .unread import without_unread


def to_relax(
    model: onnx.ModelProto, shapes: Shapes | None = None, ranges: Ranges | None = None
) -> tvm.IRModule:
    """Import a model.

    Parameters
    ----------
    model : onnx.ModelProto
    shapes : mapping of input name to shape, optional
        Sizes and names of the inputs' dimensions. Inputs without an entry keep their own.
    ranges : mapping of dimension name to (least, most), optional
        The sizes that symbolic dimensions take.

    Returns
    -------
    tvm.IRModule
        With a function ``main``.

    Raises
    ------
    QuakeError
        For shapes and ranges that do not fit, and for what TVM cannot import correctly:
        docs/onnx_operators.md.
    """
    model = with_shapes(model, shapes or {}, ranges or {})
    with errors_with_advice(model):
        model = without_unread(with_unique_names(functions.inline(model)))
        check(model)
        model = functions.expand(model)
        check(model)  # the nodes of the expanded functions
        return converted(fold_shapes(rewrites.rewrite(model)), ranges or {})


@contextmanager
def errors_with_advice(model: onnx.ModelProto) -> Iterator[None]:
    """Raise errors of a model's import as QuakeErrors that say what to do."""
    dynamic = [i.name for i in inputs(model) if is_dynamic(i)]
    advice = "replace the operator in the model, or import it yourself and pass the IRModule"
    if dynamic:
        advice = f"give shapes for: {', '.join(f'{name}=...' for name in dynamic)}"
    try:
        yield
    except NotTaken as error:
        raise QuakeError(f"{error}; {advice}") from error
    except QuakeError:
        raise
    except Exception as error:
        raise QuakeError(f"TVM cannot import this model ({last_line(error)}); {advice}") from error


def converted(model: onnx.ModelProto, ranges: Ranges) -> tvm.IRModule:
    """The steps that follow the folding. The model is changed."""
    ranges = {name: (least, most) for name, (least, most) in ranges.items() if least < most}
    loops.refuse(model)
    check_types(model)
    model = without_empty(model)
    sizes = {
        i.name: [d.dim_value for d in i.type.tensor_type.shape.dim]
        for i in inputs(model)
        if not is_dynamic(i)
    }
    constants = {c.name: relax.const(tvm.runtime.tensor(array(c))) for c in model.graph.initializer}
    mod = _import(model, sizes, ranges, constants)
    _check_branches(mod["main"])
    return with_ranges(mod, ranges)


def _import(
    model: onnx.ModelProto,
    shapes: Mapping[str, list[int]],
    ranges: Ranges,
    constants: Mapping[str, relax.Expr],
    limits: tuple[Limit, ...] = (),
) -> tvm.IRModule:
    """The import, started again for each condition that it finds to be needed."""
    try:
        importer = Importer(CONVERTERS, READ_AS_SIZES, shapes, ranges, constants, limits)
        return importer.convert(model)
    except NeedsLimit as need:
        return _import(model, shapes, ranges, constants, (*limits, need.limit))


def _check_branches(main: relax.Function) -> None:
    """Refuse operators on a result of If whose branches have different shapes: TVM cannot do it."""
    bindings = [b for block in main.body.blocks for b in block.bindings]
    either = {
        b.var: b.value
        for b in bindings
        if isinstance(b.value, relax.If)
        and isinstance(b.var.ty, relax.TensorType)
        and b.var.ty.shape is None
    }
    for binding in bindings:
        for var in relax.analysis.free_vars(binding.value):
            if var in either:
                one, other = either[var].true_branch.ty, either[var].false_branch.ty
                raise QuakeError(
                    f"If has branches of the types {one} and {other}, and what follows needs one: "
                    "give shapes that make its condition constant, or take the If out"
                )
