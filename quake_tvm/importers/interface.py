"""The inputs and outputs of an imported module, by name, shape and dtype. Knows no format."""

import tvm
from tvm import relax

from ..errors import QuakeError
from ..kernels.extent_size import extent_size
from ..runtime.description import OUTPUTS
from ..runtime.model_tensor import ModelTensor


def inputs_of(mod: tvm.IRModule) -> list[ModelTensor]:
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
        shape = tuple(extent_size(n) for n in ty.shape)
        found.append(ModelTensor(parameter.name, shape, str(ty.dtype)))
    return found


def outputs_of(mod: tvm.IRModule) -> list[ModelTensor]:
    """The outputs of ``main``, nested ones in order: ``output_0`` and so on if they have no names.

    A result that is a shape counts as a tensor of its sizes.
    """

    def leaves(ty: relax.Type) -> list[relax.Type]:
        if isinstance(ty, relax.TupleType):
            return [leaf for field in ty.fields for leaf in leaves(field)]
        return [ty]

    main = mod["main"]
    found = leaves(main.ret_ty)
    names = [str(name) for name in (main.attrs or {}).get(OUTPUTS, ())]
    if len(names) != len(found):
        names = [f"output_{k}" for k in range(len(found))]
    return [_output(name, ty) for name, ty in zip(names, found, strict=True)]


def _output(name: str, ty: relax.Type) -> ModelTensor:
    if isinstance(ty, relax.ShapeType):
        return ModelTensor(name, (ty.ndim if ty.ndim >= 0 else "?",), "int64")
    if ty.shape is None:
        return ModelTensor(name, ("?",) * max(ty.ndim, 1), str(ty.dtype))
    shape = tuple(extent_size(n) for n in ty.shape)
    return ModelTensor(name, shape, str(ty.dtype))
