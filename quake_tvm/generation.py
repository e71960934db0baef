"""The one place that tells Relax TVM (0.25 and later: ``tvm.tirx``) from Relay TVM (``tvm.tir``).

Everything else imports ``tir`` and the few differing calls from here and does not ask again.
Knows names and versions only: no mathematics, no passes.
"""

from collections.abc import Callable
from importlib import metadata

INSTALL = "pip install 'apache-tvm==0.27.*' 'apache-tvm-ffi>=0.1.14.post0,<0.1.15'"


def check_versions() -> None:
    """Refuse, before TVM is loaded, the pair of packages whose ``save_json`` segfaults.

    Raises
    ------
    ImportError
        When no TVM is installed, or apache-tvm 0.26/0.27 stands beside apache-tvm-ffi 0.1.15.
    """
    try:
        tvm_version = metadata.version("apache-tvm")
    except metadata.PackageNotFoundError:
        raise ImportError(f"quake_tvm needs Apache TVM; install it with: {INSTALL}") from None
    ffi_version = metadata.version("apache-tvm-ffi")
    if tvm_version.startswith(("0.26.", "0.27.")) and ffi_version.startswith("0.1.15"):
        raise ImportError(
            f"apache-tvm {tvm_version} crashes with apache-tvm-ffi {ffi_version}; "
            "install a good pair with: pip install 'apache-tvm-ffi>=0.1.14.post0,<0.1.15'"
        )


check_versions()

import tvm  # noqa: E402
import tvm_ffi  # noqa: E402
from tvm import tirx as tir  # noqa: E402


def fma(a: tir.Expr, b: tir.Expr, c: tir.Expr) -> tir.Expr:
    """a*b + c with one rounding, on every target that has the instruction."""
    return tir.call_intrin("float32", "tirx.fma", a, b, c)


def alloc(buffer: tir.Buffer) -> tir.Stmt:
    """Make a buffer for the statements that follow in the same sequence."""
    return tir.AllocBuffer(buffer)


def make_attrs(**values: object) -> tvm.ir.Attrs:
    """Free-form operator attributes."""
    return tvm.ir.make_node("ir.DictAttrs", **values)


def register_op(name: str, description: str) -> tvm.ir.Op:
    """Register an operator of ours with TVM, or fetch it if it stands already."""
    if name not in tvm.ir.Op.list_op_names():
        tvm.ir._ffi_api.RegisterOp(name, description)
    return tvm.ir.Op.get(name)


def visit_calls(body: tir.Stmt, f: Callable[[tvm.ir.Call], None]) -> None:
    """Call ``f`` on every call in a TIR statement, inner ones first."""

    def see(call: tvm.ir.Call) -> None:
        f(call)

    tvm_ffi.structural_walk(body, (tvm.ir.Call, see))


def replace_calls(body: tir.Stmt, f: Callable[[tvm.ir.Call], tir.Expr]) -> tir.Stmt:
    """The statement with each call replaced by what ``f`` gives for it, inner ones first."""
    return tvm_ffi.structural_map(body, (tvm.ir.Call, f))
