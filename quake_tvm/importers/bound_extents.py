"""Sizes, names and ranges for the dynamic dimensions of a module's inputs. Knows no format."""

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax, tirx

from ..errors import QuakeError
from ..runtime.extent_limits import ExtentLimits
from ..tvm_version import updated
from .dimensions import Ranges, Shapes, check_names


def with_shapes(mod: tvm.IRModule, shapes: Shapes) -> tvm.IRModule:
    """The module with sizes and names for the dynamic dimensions of its inputs.

    Raises
    ------
    QuakeError
        For a shape that does not fit, and for a name of a static or computed dimension.
    """
    parameters = {p.name: p for p in mod["main"].params}
    given: dict[tirx.Var, int | str] = {}
    for name, shape in shapes.items():
        if name not in parameters:
            raise QuakeError(f"no input {name!r}; the inputs: {', '.join(parameters)}")
        dims, before = list(parameters[name].ty.shape), dict(given)
        if len(dims) != len(shape) or not all(
            _fits(name, dim, n, given) for dim, n in zip(dims, shape, strict=True)
        ):
            wanted = ", ".join(str(getattr(d, "value", before.get(d, d))) for d in dims)
            raise QuakeError(f"shape {tuple(shape)} does not fit input {name!r} ({wanted})")
    return _bound(mod, given)


def _fits(name: str, dim: Any, n: int | str, given: dict[tirx.Var, int | str]) -> bool:
    """Whether a dimension of an input takes a size or a name, which is added to ``given``."""
    if isinstance(dim, tirx.Var):
        return given.setdefault(dim, n) == n
    if isinstance(n, str):
        size = getattr(dim, "value", dim)
        raise QuakeError(
            f"a dimension of input {name!r} is {size} and takes no name {n!r}: only in ONNX models "
            "can static dimensions be made dynamic; export the model with this one dynamic"
        )
    return hasattr(dim, "value") and int(dim.value) == n


def _bound(mod: tvm.IRModule, given: Mapping[tirx.Var, int | str]) -> tvm.IRModule:
    values = {v.name: n for v, n in given.items() if n != v.name}
    if not values:
        return mod
    limits = ExtentLimits.of(mod["main"]).substituted(values)
    named: dict[str, tirx.Var] = {}
    bound: dict[tirx.Var, Any] = {}
    for variable in _variables(mod):
        value = given.get(variable, variable.name)
        if isinstance(value, str):
            own = variable if value == variable.name else tirx.Var(value, variable.ty.dtype)
            value = named.setdefault(value, own)
        if not (isinstance(value, tirx.Var) and value.same_as(variable)):
            bound[variable] = value
    mod = relax.transform.BindSymbolicVars(bound, "main")(mod)
    main = mod.get_global_var("main")
    return updated(mod, {main: limits.write(mod[main])})


def _variables(mod: tvm.IRModule) -> list[tirx.Var]:
    """The variables that are dimensions of inputs."""
    return [v for p in mod["main"].params for v in relax.analysis.definable_tir_vars_in_type(p.ty)]


def with_ranges(mod: tvm.IRModule, ranges: Ranges) -> tvm.IRModule:
    """The module with ranges for the dynamic dimensions of its inputs.

    A dimension whose range has one size gets that size.

    Raises
    ------
    QuakeError
        For an unknown name, and for a range that has no size in common with the module's own.
    """
    if not ranges:
        return mod
    variables = _variables(mod)
    check_names(ranges, [v.name for v in variables])
    main, limits = mod.get_global_var("main"), ExtentLimits.of(mod["main"])
    for name, given in ranges.items():
        limits = limits.narrowed(name, given)
    mod = updated(mod, {main: limits.write(mod[main])})
    single = {name: least for name, (least, most) in limits.ranges.items() if least == most}
    return _bound(mod, {v: single[v.name] for v in variables if v.name in single})
