"""From an ONNX model to a Relax module that TVM can compile.

In this order: fixes the inputs' shapes, inlines functions, refuses what would be ignored, rewrites
what TVM's importer gets wrong, folds the subgraphs that compute shapes, rewrites slices from both
ends and tensors without elements, imports. Knows nothing of nonlinearities.
"""

import onnx
import tvm

from . import onnx_functions, onnx_rewrites
from .errors import QuakeError
from .onnx_check import check
from .onnx_converters import CONVERTERS
from .onnx_empty import without_empty
from .onnx_file import Shapes, inputs, is_dynamic, with_shapes
from .onnx_fold import fold_shapes
from .onnx_importer import Importer
from .onnx_slices import from_one_end_at_a_time


def to_relax(model: onnx.ModelProto, shapes: Shapes | None = None) -> tvm.IRModule:
    """Import a model.

    Parameters
    ----------
    model : onnx.ModelProto
    shapes : mapping of input name to shape, optional
        Static shapes for inputs whose dimensions are symbolic in the model. Dimensions left
        symbolic stay so in the module.

    Raises
    ------
    QuakeError
        For a shape that does not fit, or what TVM cannot import rightly: docs/onnx_operators.md.
    """
    model = onnx_functions.inline(with_shapes(model, shapes or {}))
    check(model)
    model = onnx_functions.expand(model)
    check(model)  # what the functions are made of
    model = fold_shapes(onnx_rewrites.rewrite(model))
    model = without_empty(from_one_end_at_a_time(model))
    sizes = {
        i.name: [d.dim_value for d in i.type.tensor_type.shape.dim]
        for i in inputs(model)
        if not is_dynamic(i)
    }
    try:
        return Importer(CONVERTERS, sizes).convert(model)
    except QuakeError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
        dynamic = [i.name for i in inputs(model) if is_dynamic(i)]
        if dynamic:
            example = ", ".join(f"{name}=..." for name in dynamic)
            raise QuakeError(
                f"TVM cannot import this model with dynamic dimensions ({reason}); "
                f"give shapes for: {example}"
            ) from None
        raise QuakeError(f"TVM's ONNX importer failed: {reason}") from error
