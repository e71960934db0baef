"""TVM's runtime for another architecture, from the wheels on PyPI.

The versions are those installed here, so that both ends of a connection match.
"""

import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

import tvm

from ..errors import QuakeError
from ..support import cache
from ..support.toolchain import triple
from .runtime_hashes import SHA256

WHEELS = {
    "apache-tvm": ("tvm/lib/libtvm_runtime.so", "tvm/lib/libtvm_runtime_extra.so"),
    "apache-tvm-ffi": ("tvm_ffi/lib/libtvm_ffi.so",),
}
# Architectures of Linux that PyPI has wheels for.
ARCHITECTURES = ("aarch64", "x86_64")


def libraries(target: tvm.target.Target) -> Path:
    """A folder with the libraries that a program needs to run compiled models.

    Parameters
    ----------
    target : tvm.target.Target
        Only its architecture and system matter.

    Returns
    -------
    Path
        In the user's cache; downloaded once.

    Raises
    ------
    QuakeError
        If PyPI has no such wheels, their content has changed, or PyPI cannot be reached.
    """
    machine = triple(target)
    wanted = machine.architecture
    if wanted not in ARCHITECTURES or machine.system != "linux":
        raise QuakeError(f"PyPI has no TVM for {machine}, only for {' and '.join(ARCHITECTURES)}")
    try:
        versions = {package: metadata.version(package) for package in WHEELS}
    except metadata.PackageNotFoundError as error:
        raise QuakeError(f"the TVM in use does not come from PyPI: no package {error}") from None

    def make(folder: Path) -> None:
        folder.mkdir()
        for package, members in WHEELS.items():
            with tempfile.TemporaryDirectory(dir=folder.parent) as downloads:
                wheel = _download(package, versions[package], wanted, Path(downloads))
                with zipfile.ZipFile(wheel) as archive:
                    for member in members:
                        (folder / Path(member).name).write_bytes(archive.read(member))

    return cache.keep("-".join(["runtime", wanted, *versions.values()]), make)


def _download(package: str, version: str, architecture: str, folder: Path) -> Path:
    """Download a wheel with a known hash."""
    known = SHA256.get((package, version))
    if known is None:
        others = ", ".join(v for name, v in sorted(SHA256) if name == package)
        raise QuakeError(
            f"{package} {version} is not among the releases whose content is known: {others}"
        )
    requirement = f"{package}=={version}"
    pinned = folder / "requirements.txt"
    pinned.write_text(" ".join([requirement, *(f"--hash=sha256:{h}" for h in known)]) + "\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    wheels = [
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--platform",
        f"manylinux_2_28_{architecture}",
    ]
    command = [*pip, *wheels, "--dest", str(folder), "--requirement", str(pinned)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = next(folder.glob("*.whl"), None)
    if done.returncode or found is None:
        reason = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
        if "DO NOT MATCH THE HASHES" in done.stderr:
            reason = "its content is not what it was; do not use it"
        raise QuakeError(f"pip cannot download {requirement} for {architecture}: {reason}")
    return found
