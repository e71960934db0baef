"""All in one: import, lower, schedule, build; and the compiled model.

The way of the data: :mod:`onnx_import` -> ``passes/pipeline.py`` -> ``tvm.compile``. Knows no
operator.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.support import cc

from . import onnx_import
from .errors import QuakeError
from .options import Options
from .passes.pipeline import graph_passes, machine_passes
from .passes.quake import QuAKE
from .report import Report, report
from .targets import target as resolve_target

# The virtual machine's function that returns the model's description.
DESCRIPTION = "quake_description"
Inputs = Mapping[str, np.ndarray] | Sequence[np.ndarray] | np.ndarray


@dataclass(frozen=True)
class Input:
    """A model input: symbolic dimensions by name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


class Model:
    """A compiled model.

    Attributes
    ----------
    inputs : list of Input
    report : Report
        What became of every nonlinearity and kernel.
    options : dict
        The target and the options it was compiled with.
    """

    def __init__(self, executable: Any, description: str) -> None:
        raw = json.loads(description)
        self.inputs = [Input(i["name"], tuple(i["shape"]), i["dtype"]) for i in raw["inputs"]]
        self.report = Report.from_json(json.dumps(raw["report"]))
        self.options = raw["options"]
        self._executable = executable
        self._machine: relax.VirtualMachine | None = None

    @property
    def _vm(self) -> relax.VirtualMachine:
        if self._machine is None:  # a cross-compiled model cannot run here: start when asked
            self._machine = relax.VirtualMachine(self._executable, tvm.cpu())
        return self._machine

    def run(self, *inputs: Inputs) -> list[np.ndarray]:
        """Run once.

        Parameters
        ----------
        inputs : one mapping of name to array, or the arrays in the order of ``self.inputs``

        Returns
        -------
        list of numpy.ndarray
            The outputs in the model's order.

        Raises
        ------
        QuakeError
            For a missing or unknown name, a wrong shape or a wrong dtype.
        """
        result = self._vm["main"](*self._arguments(inputs))
        return [np.asarray(t.numpy()) for t in _flatten(result)]

    def benchmark(self, *inputs: Inputs, number: int = 10, repeat: int = 5) -> list[float]:
        """Time calls inside the runtime, without Python between them.

        Returns
        -------
        list of float
            Seconds a call, one figure a repeat, each the mean over ``number`` calls.
        """
        arguments = self._arguments(inputs)
        timer = self._vm.time_evaluator("main", tvm.cpu(), number=number, repeat=repeat)
        return list(timer(*arguments).results)

    def export(self, path: str | Path) -> Path:
        """Write a shared library for the target, all or nothing; :func:`load` reads it.

        Raises
        ------
        QuakeError
            If the path cannot be written or no linker for the target is found.
        """
        path = Path(path)
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".so")
            os.close(handle)
        except OSError as error:
            raise QuakeError(f"cannot write {path}: {error.strerror}") from None
        temporary = Path(name)
        try:
            if path.is_dir():
                raise QuakeError(f"cannot write {path}: it is a folder")
            self._executable.export_library(
                str(temporary), fcompile=_linker(self.options["target"])
            )
            temporary.chmod(0o755)
            os.replace(temporary, path)
        except OSError as error:
            raise QuakeError(f"cannot write {path}: {error.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def _arguments(self, inputs: tuple[Inputs, ...]) -> list[tvm.runtime.Tensor]:
        names = [i.name for i in self.inputs]
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            given = dict(inputs[0])
        else:
            flat = inputs
            if len(inputs) == 1 and isinstance(inputs[0], list | tuple):
                flat = tuple(inputs[0])
            if len(flat) != len(names):
                raise QuakeError(
                    f"the model takes {len(names)} inputs ({', '.join(names)}), got {len(flat)}"
                )
            given = dict(zip(names, flat, strict=True))
        for name in given:
            if name not in names:
                raise QuakeError(f"unknown input {name!r}; the model's inputs: {', '.join(names)}")
        sizes: dict[str, int] = {}
        return [_tensor(spec, given, sizes) for spec in self.inputs]


def _tensor(spec: Input, given: Mapping[str, Any], sizes: dict[str, int]) -> tvm.runtime.Tensor:
    if spec.name not in given:
        raise QuakeError(f"input {spec.name!r} is missing")
    array = np.asarray(given[spec.name])
    if str(array.dtype) != spec.dtype:
        raise QuakeError(f"input {spec.name!r} must be {spec.dtype}, got {array.dtype}")
    fits = len(array.shape) == len(spec.shape) and all(
        n == (wanted if isinstance(wanted, int) else sizes.setdefault(wanted, n))
        for n, wanted in zip(array.shape, spec.shape, strict=False)
    )
    if not fits:
        wanted = ", ".join(
            str(sizes.get(n, n)) if isinstance(n, str) else str(n) for n in spec.shape
        )
        raise QuakeError(f"input {spec.name!r} must have shape ({wanted}), got {array.shape}")
    return tvm.runtime.tensor(np.ascontiguousarray(array).reshape(array.shape))


def _flatten(result: Any) -> list[Any]:
    if hasattr(result, "numpy"):
        return [result]
    return [leaf for item in result for leaf in _flatten(item)]


def _linker(target: str) -> Any:
    triple = json.loads(target).get("mtriple", "")
    if not triple or triple.startswith("x86_64"):
        return None
    compiler = f"{triple}-g++"
    from shutil import which

    if which(compiler) is None:
        raise QuakeError(f"no cross-compiler for {triple}: install {compiler}")
    return cc.cross_compiler(compiler)


def compile(
    model: Any,
    target: str | dict | tvm.target.Target = "native",
    method: str | None = None,
    *,
    max_error: float | None = None,
    only: Sequence[str] | None = None,
    skip: Sequence[str] | None = None,
    special_values: str = "ieee",
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Model:
    """Compile a model with its nonlinearities lowered and its kernels scheduled.

    Parameters
    ----------
    model : path, onnx.ModelProto, torch.export.ExportedProgram or tvm.IRModule
    target : str, dict or tvm.target.Target
        What :func:`quake_tvm.target` takes.
    method, max_error, only, skip, special_values
        Those of :class:`quake_tvm.QuAKE`.
    shapes : mapping of input name to shape, optional
        Static shapes for symbolic dimensions; those not given stay dynamic.

    Returns
    -------
    Model

    Raises
    ------
    QuakeError
        For whatever the user can put right: options, target, file, operators, shapes.
    """
    options = {
        "method": method,
        "max_error": max_error,
        "only": only,
        "skip": skip,
        "special_values": special_values,
    }
    checked = Options.parse(**options)
    resolved = resolve_target(target)
    mod = import_model(model, shapes)
    try:
        return _build(mod, resolved, checked, options)
    except QuakeError:
        raise
    except Exception as error:
        dynamic = [i.name for i in _inputs(mod) if any(isinstance(n, str) for n in i.shape)]
        if not dynamic:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
        raise QuakeError(
            f"TVM cannot compile this model with dynamic dimensions ({reason}); "
            f"give shapes for: {', '.join(f'{name}=...' for name in dynamic)}"
        ) from error


def _build(
    mod: tvm.IRModule, target: tvm.target.Target, checked: Options, options: dict[str, Any]
) -> Model:
    with target:
        lowered = QuAKE(**options)(mod)
        scheduled = tvm.transform.Sequential(graph_passes(target, **options))(lowered)
        summary = report(lowered, checked, scheduled)
        description = json.dumps(
            {
                "inputs": [asdict(i) for i in _inputs(mod)],
                "report": json.loads(summary.to_json()),
                "options": {
                    "target": str(target),
                    "method": checked.method,
                    "max_error": checked.max_error,
                    "special_values": options["special_values"],
                },
            }
        )
        scheduled = tvm.IRModule(scheduled.functions, attrs=scheduled.attrs)
        scheduled[DESCRIPTION] = _describe(description)
        machine = tvm.transform.Sequential(machine_passes(target))(scheduled)
        executable = tvm.compile(machine, target, relax_pipeline=tvm.transform.Sequential([]))
    return Model(executable, description)


def _describe(description: str) -> relax.Function:
    """A function of the virtual machine that returns the text."""
    builder = relax.BlockBuilder()
    with builder.function(DESCRIPTION, []):
        builder.emit_func_output(tvm.ir.StringImm(description))
    return builder.get()[DESCRIPTION]


def load(path: str | Path) -> Model:
    """Load what :meth:`Model.export` wrote.

    Raises
    ------
    QuakeError
        If there is no such file or it is not a compiled model of this library.
    """
    path = Path(path)
    if not path.is_file():
        raise QuakeError(f"no such file: {path}")
    try:
        executable = tvm.runtime.load_module(str(path))
        description = str(relax.VirtualMachine(executable, tvm.cpu())[DESCRIPTION]())
    except Exception:
        raise QuakeError(f"{path} is not a model that quake_tvm compiled for this CPU") from None
    return Model(executable, description)


def import_model(model: Any, shapes: Mapping[str, Sequence[int]] | None = None) -> tvm.IRModule:
    """A Relax module from any of the sources that :func:`compile` takes."""
    if isinstance(model, str | Path):
        return onnx_import.to_relax(onnx_import.read(model), shapes)
    if isinstance(model, onnx.ModelProto):
        return onnx_import.to_relax(model, shapes)
    if isinstance(model, tvm.IRModule):
        return _bind_shapes(model, shapes or {})
    if type(model).__module__.startswith("torch.export"):
        from tvm.relax.frontend.torch import from_exported_program

        return _bind_shapes(from_exported_program(model), shapes or {})
    raise QuakeError(
        f"cannot compile a {type(model).__name__}: give an ONNX path or ModelProto, "
        "a torch ExportedProgram or an IRModule"
    )


def _bind_shapes(mod: tvm.IRModule, shapes: Mapping[str, Sequence[int]]) -> tvm.IRModule:
    values: dict[Any, int] = {}
    if "main" not in {name.name_hint for name in mod.get_global_vars()}:
        raise QuakeError("the module has no function named main")
    parameters = {p.name: p for p in mod["main"].params}
    for name, shape in shapes.items():
        if name not in parameters:
            raise QuakeError(f"no input {name!r}; the inputs: {', '.join(parameters)}")
        dims, given = list(parameters[name].ty.shape), [int(n) for n in shape]
        fits = len(dims) == len(given) and all(
            n >= 0 and n == (d.value if hasattr(d, "value") else values.setdefault(d, n))
            for d, n in zip(dims, given, strict=True)
        )
        if not fits:
            wanted = ", ".join(str(d) for d in dims)
            raise QuakeError(f"shape {tuple(given)} does not fit input {name!r} ({wanted})")
    return relax.transform.BindSymbolicVars(values, "main")(mod) if values else mod


def _inputs(mod: tvm.IRModule) -> list[Input]:
    """The inputs of ``main``, weights that are bound in the module apart."""
    main = mod["main"]
    count = int(main.attrs.get("num_input", len(main.params))) if main.attrs else len(main.params)
    found = []
    for parameter in main.params[:count]:
        ty = parameter.ty
        shape = tuple(int(n) if hasattr(n, "value") else str(n) for n in ty.shape)
        found.append(Input(parameter.name, shape, str(ty.dtype)))
    return found
