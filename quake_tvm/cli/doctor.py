"""The checks of ``quake-tvm doctor``: can this installation compile, and are its results right?"""

import platform
import shlex
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tvm.target import Target

# One target for each kind of machine that needs another compiler.
FOREIGN = ("aarch64", "armv7", "android-arm64", "riscv64", "apple-m1")


@dataclass(frozen=True)
class Check:
    """One finding. ``ok`` is None if the finding is for information only."""

    name: str
    ok: bool | None
    finding: str


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def examine() -> list[Check]:
    """Check versions, the CPU as LLVM sees it, compilers, and one kernel against its bound."""
    checks = [Check("python", None, f"{platform.python_version()} on {platform.platform()}")]
    relay = _version("hhb-tvm") != "not installed"
    tvm = ["hhb-tvm"] if relay else ["apache-tvm", "apache-tvm-ffi"]
    for package in ("quake-tvm", *tvm, "numpy", "onnx"):
        found = _version(package)
        checks.append(Check(package, found != "not installed", found))
    checks += [
        Check(package, None, _version(package) + " (optional)")
        for package in ("onnxruntime", "torch", "xgboost")
    ]
    try:
        from .. import tvm_version  # noqa: F401  # raises if TVM is missing or broken

        checks += _examine_tvm()
    except ImportError as error:
        checks.append(Check("TVM", False, str(error)))
    return checks


def _examine_compiler(name: str) -> Check:
    """Check the compiler for a target. Only this machine's own compiler is required."""
    from ..errors import QuakeError
    from ..machines.targets import target
    from ..support.toolchain import compiler

    try:
        return Check(f"compiler: {name}", True, shlex.join(compiler(target(name))))
    except QuakeError as error:
        return Check(f"compiler: {name}", False if name == "native" else None, str(error))


def _examine_tvm() -> list[Check]:
    from ..machines.native import native as in_llvms_words
    from ..machines.targets import lanes, target, targets

    native, words = target("native"), in_llvms_words()
    cpu = " ".join([words.config["mcpu"], *words.config.get("mattr", ())])
    checks = [
        Check("target", None, f"{cpu}, {native.attrs['num-cores']} cores"),
        *([Check("cpu", None, words.note)] if words.note else []),
        Check("vectors", None, f"{lanes(native)} float32 lanes"),
    ]
    checks.append(_examine_compiler("native"))
    checks += [_examine_compiler(name) for name in FOREIGN if name in targets()]
    checks.append(_examine_kernel(native))
    return checks


def _examine_kernel(native: "Target") -> Check:
    """Compare one kernel with numpy's function in float64, where neither overflows."""
    import numpy as np

    from ..accuracy.kernels import kernel
    from ..numerics.operators import bound

    x = np.linspace(-87, 88, 1 << 18, dtype=np.float32)
    found = np.abs(kernel("exp", "quake2", native)(x) / np.exp(x.astype(float)) - 1).max()
    promised = bound("exp", "quake2").relative
    text = f"exp on quake2: largest error {found:.4g}, bound {promised:.4g}"
    return Check("kernel", bool(found <= promised), text)
