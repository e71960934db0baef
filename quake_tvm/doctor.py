"""Is this installation able to compile and right? What ``quake-tvm doctor`` checks."""

import platform
import shutil
from dataclasses import dataclass
from importlib import metadata

import numpy as np


@dataclass(frozen=True)
class Check:
    """One finding: ``ok`` None is for information only."""

    name: str
    ok: bool | None
    finding: str


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def examine() -> list[Check]:
    """Versions, the CPU as LLVM sees it, a linker, and one kernel measured against its bound."""
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
    linker = next((c for c in ("g++", "gcc", "clang++", "clang") if shutil.which(c)), None)
    advice = linker or "none found: install gcc or clang; export() needs one"
    checks.append(Check("linker", linker is not None, advice))
    try:
        checks += _examine_tvm()
    except ImportError as error:
        checks.append(Check("TVM", False, str(error)))
    return checks


def _examine_tvm() -> list[Check]:
    from .accuracy import sweep
    from .named_targets import lanes, target
    from .operators import bound

    native = target("native")
    checks = [
        Check("target", None, f"{native.attrs['mcpu']}, {native.attrs['num-cores']} cores"),
        Check("vectors", None, f"{lanes(native)} float32 lanes"),
    ]
    found = sweep("exp", native, 1 << 20, methods=["quake2"])["quake2"]
    promised = bound("exp", "quake2").relative
    checks.append(
        Check(
            "kernel",
            bool(np.isfinite(found.relative) and found.relative <= promised),
            f"exp on quake2: largest error {found.relative:.4g}, bound {promised:.4g}",
        )
    )
    return checks
