"""The one place that tells Relax TVM (0.25 and later: ``tvm.tirx``) from Relay TVM (``tvm.tir``).

Everything else imports ``tir`` and the few differing calls from here and does not ask again; which
modules serve the graph is decided in :mod:`quake_tvm.passes.dialect`. Knows names and versions
only: no mathematics, no passes.
"""

import platform
from collections.abc import Callable
from importlib import metadata, util
from typing import TYPE_CHECKING, Any

RELAX_INSTALL = "pip install 'apache-tvm==0.27.*' 'apache-tvm-ffi>=0.1.14.post0,<0.1.15'"
RELAY_INSTALL = (
    "pip install --no-deps --python-version 3.10 --only-binary=:all: --target SITE hhb-tvm==3.2.3"
)


def check_versions() -> None:
    """Refuse, before TVM is loaded, the pair of packages whose ``save_json`` segfaults.

    Raises
    ------
    ImportError
        When no TVM is installed, or apache-tvm 0.26/0.27 stands beside apache-tvm-ffi 0.1.15.
    """
    if util.find_spec("tvm") is None:
        raise ImportError(
            f"quake_tvm needs TVM; install Relax's with: {RELAX_INSTALL}; "
            f"or Relay's, in an environment of its own (docs/relay.md), with: {RELAY_INSTALL}"
        )
    try:
        tvm_version = metadata.version("apache-tvm")
        ffi_version = metadata.version("apache-tvm-ffi")
    except metadata.PackageNotFoundError:
        return  # a TVM of the user's own, or Relay's
    if tvm_version.startswith(("0.26.", "0.27.")) and ffi_version.startswith("0.1.15"):
        raise ImportError(
            f"apache-tvm {tvm_version} crashes with apache-tvm-ffi {ffi_version}; "
            "install a good pair with: pip install 'apache-tvm-ffi>=0.1.14.post0,<0.1.15'"
        )


check_versions()

import tvm  # noqa: E402

from .errors import QuakeError  # noqa: E402
from .support.toolchain import Triple  # noqa: E402

# Whether this TVM has Relay.
RELAY = util.find_spec("tvm.relay") is not None

if RELAY:
    from tvm import tir
    from tvm.tir import Call, Stmt
    from tvm.tir import PrimExpr as Expr

    # This TVM's vectorizer takes a reinterpretation of bits for an unknown call, lane by lane.
    tvm.ir.register_op_attr("tir.reinterpret", "TVectorizable", True)
else:
    import tvm_ffi
    from tvm import tirx as tir
    from tvm.ir import Call
    from tvm.tirx import Expr, Stmt

if TYPE_CHECKING:
    from tvm.ir.transform import Pass
else:
    # What ``tvm.transform.module_pass`` makes of a class is a pass, unseen by type checkers.
    Pass = object

# What a pass of ours raises, and Ctrl-C inside it, comes back through TVM as what it is.
tvm.error.register_error(QuakeError)
tvm.error.register_error(KeyboardInterrupt)

# What TVM's own intrinsics are called by.
PREFIX = "tir." if RELAY else "tirx."
IF_THEN_ELSE = "tir.if_then_else" if RELAY else "prim.if_then_else"


def fma(a: Expr, b: Expr, c: Expr) -> Expr:
    """a*b + c with one rounding; :mod:`.numerics.single_rounding` sees to it on every target."""
    return tir.call_intrin("float32", PREFIX + "fma", a, b, c)


def fma_operands(call: Call) -> "list[Expr] | None":
    """The operands of a call that :func:`fma` made, or that TVM made of it; None for any other."""
    if not isinstance(call.op, tvm.ir.Op):
        return None
    if call.op.name == PREFIX + "fma":
        return list(call.args)
    # A permission to round once or twice.
    muladd = tvm.target.codegen.llvm_lookup_intrinsic_id("llvm.fmuladd")
    if call.op.name != PREFIX + "call_llvm_pure_intrin" or call.args[0].value != muladd:
        return None
    return list(call.args)[2 if RELAY else 1 :]  # Relay's TVM counts the operands


def llvm_fma(dtype: str, operands: "list[Expr]") -> Expr:
    """LLVM's own fma: an order."""
    counted = [tir.const(len(operands), "uint32")] if RELAY else []
    return tir.call_llvm_pure_intrin(dtype, "llvm.fma", *counted, *operands)


def import_llvm(source: str, body: Stmt) -> Stmt:
    """The statement, and functions in LLVM's words that it calls."""
    text = (tir if RELAY else tvm.ir).StringImm(source)
    return tir.AttrStmt(text, "pragma_import_llvm", text, body)


def replace_build(
    kind: str, prepare: Callable[[tvm.IRModule, tvm.target.Target], tvm.IRModule]
) -> None:
    """Prepare modules for TVM's code generator of a kind: no pass runs as late in every build."""
    name = f"target.build.{kind}"
    generate = tvm.get_global_func(name)

    def build(mod: tvm.IRModule, target: tvm.target.Target) -> Any:
        return generate(prepare(mod, target), target)

    register = tvm.register_func if RELAY else tvm.register_global_func
    register(name, build, override=True)


def dtype_of(expr: Expr) -> str:
    """The dtype of an expression."""
    return str(expr.dtype if RELAY else expr.ty.dtype)


# Marks in Relay's TVM, until :func:`nest`, where a buffer is made.
_ALLOCATION = "quake.allocation"


def alloc(buffer: tir.Buffer) -> Stmt:
    """Make a buffer for the statements that follow in the same sequence."""
    if RELAY:
        return tir.AttrStmt(buffer.data, _ALLOCATION, buffer.shape[0], tir.Evaluate(0))
    return tir.AllocBuffer(buffer)


def nest(body: Stmt) -> Stmt:
    """Put what follows an :func:`alloc` inside it, where this TVM wants that."""
    if not RELAY:
        return body

    def gather(sequence: tir.SeqStmt) -> Stmt:
        rest: list[Stmt] = []
        for step in reversed(sequence.seq):
            if isinstance(step, tir.AttrStmt) and step.attr_key == _ALLOCATION:
                after = tir.SeqStmt(rest) if len(rest) > 1 else rest[0]
                true = tir.const(True, "bool")
                dtype = step.node.type_annotation.element_type.dtype
                rest = [tir.Allocate(step.node, dtype, [step.value], true, after)]
            else:
                rest.insert(0, step)
        return tir.SeqStmt(rest) if len(rest) > 1 else rest[0]

    return tir.stmt_functor.ir_transform(body, None, gather, ["tir.SeqStmt"])


def make_attrs(**values: object) -> tvm.ir.Attrs:
    """Free-form operator attributes."""
    return tvm.ir.make_node("DictAttrs" if RELAY else "ir.DictAttrs", **values)


def register_op(name: str, description: str) -> tvm.ir.Op:
    """Register an operator of ours with TVM, or fetch it if it stands already."""
    if name not in tvm.ir.Op.list_op_names():
        tvm.ir._ffi_api.RegisterOp(name, description)
    return tvm.ir.Op.get(name)


def updated(mod: tvm.IRModule, functions: dict[tvm.ir.GlobalVar, Any]) -> tvm.IRModule:
    """The module with some functions replaced; itself if there are none."""
    if not functions:
        return mod
    kept = [mod.type_definitions] if RELAY else []
    mod = tvm.IRModule(mod.functions, *kept, attrs=mod.attrs, global_infos=mod.global_infos)
    for name, function in functions.items():
        mod.update_func(name, function)
    return mod


def native_triple() -> str | None:
    """This machine's triple where TVM's LLVM assumes another, as Relay's does."""
    return f"{platform.machine()}-linux-gnu" if RELAY else None


def llvm_knows(cpu: str, triple: str) -> bool:
    """Whether TVM's LLVM can generate code for a CPU under this triple."""
    architecture = Triple.parse(triple).architecture
    if architecture.startswith("arm") and architecture != "arm":
        return False  # of an ARM that there is not, as arm65, LLVM can die
    if not RELAY:
        return tvm.target.codegen.llvm_is_valid_cpu(cpu, triple)
    # Asked for the CPUs of an architecture that it was built without, this TVM crashes.
    if architecture not in tvm.target.codegen.llvm_get_targets():
        return False
    target = tvm.target.Target({"kind": "llvm", "mtriple": triple})
    return cpu in tvm.target.codegen.llvm_get_cpu_archlist(target)


def visit_calls(body: Stmt, f: Callable[[Call], None]) -> None:
    """Call ``f`` on every call in a TIR statement, inner ones first."""

    def see(node: Any) -> None:
        if isinstance(node, Call):
            f(node)

    if RELAY:
        tir.stmt_functor.post_order_visit(body, see)
    else:
        tvm_ffi.structural_walk(body, (Call, see))


def replace_calls(body: Stmt, f: Callable[[Call], Expr]) -> Stmt:
    """The statement with each call replaced by what ``f`` gives for it, inner ones first."""
    if RELAY:
        return tir.stmt_functor.ir_transform(body, None, f, ["tir.Call"])
    return tvm_ffi.structural_map(body, (Call, f))


def map_stores(body: Stmt, f: Callable[[tir.BufferStore], Stmt]) -> Stmt:
    """The statement with each store replaced by what ``f`` gives for it."""
    if RELAY:
        return tir.stmt_functor.ir_transform(body, None, f, ["tir.BufferStore"])
    return tvm_ffi.structural_map(body, (tir.BufferStore, f))


Again = Callable[[Expr], Expr]


def descend(expr: Expr, rules: "dict[type, Callable[[Any, Again], Expr | None]]") -> Expr:
    """The expression with nodes of some kinds replaced by what their rules give for them.

    A rule comes before what is inside its node, for which it calls its second argument; None leaves
    that to this function.
    """
    if RELAY:
        names = [f"tir.{kind.__name__}" for kind in rules]

        def enter(node: Any) -> "Expr | None":
            return rules[type(node)](node, again)

        def again(inner: Expr) -> Expr:
            return tir.stmt_functor.ir_transform(tir.Evaluate(inner), enter, None, names).value

        return again(expr)

    def owned(rule: "Callable[[Any, Again], Expr | None]") -> Callable[[Any, Any], Any]:
        def replaced(node: Any, mutator: Any) -> Any:
            found = rule(node, mutator.mutate)
            return mutator.default_mutate(node) if found is None else found

        return replaced

    return tvm_ffi.structural_mutate(expr, [(kind, owned(rule)) for kind, rule in rules.items()])
