"""The differences between Relax's TVM (0.25 and later: ``tvm.tirx``) and Relay's TVM (``tvm.tir``).

Other modules import ``tir``, the few differing calls and the flag ``RELAY`` from here. Which
modules serve the graph is decided in :mod:`quake_tvm.passes.dialect`. Knows names and versions
only: no mathematics, no passes.
"""

import platform
from collections.abc import Callable
from importlib import metadata, util
from typing import TYPE_CHECKING, Any

from .support.hidden_module import hidden

RELAX_INSTALL = "pip install 'apache-tvm==0.27.*' 'apache-tvm-ffi>=0.1.14.post0,<0.1.15'"
RELAY_INSTALL = (
    "pip install --no-deps --python-version 3.10 --only-binary=:all: --target SITE hhb-tvm==3.2.3"
)


def check_versions() -> None:
    """Refuse, before TVM is loaded, two package versions whose ``save_json`` segfaults together.

    Raises
    ------
    ImportError
        If no TVM is installed, or apache-tvm 0.26/0.27 together with apache-tvm-ffi 0.1.15.
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
        return  # the user's own build of TVM, or Relay's TVM
    if tvm_version.startswith(("0.26.", "0.27.")) and ffi_version.startswith("0.1.15"):
        raise ImportError(
            f"apache-tvm {tvm_version} crashes with apache-tvm-ffi {ffi_version}; "
            "install a good pair with: pip install 'apache-tvm-ffi>=0.1.14.post0,<0.1.15'"
        )


check_versions()

# TVM would load torch if that is installed, which takes seconds, and uses it only for shortcuts.
with hidden("torch"):
    import tvm

from .errors import QuakeError  # noqa: E402
from .support.toolchain import Triple  # noqa: E402
from .support.which_tvm import has_relay  # noqa: E402

# Whether this TVM has Relay.
RELAY = has_relay()

if RELAY:
    from tvm import tir
    from tvm.tir import Call, Stmt
    from tvm.tir import PrimExpr as Expr

    # This TVM's vectorizer treats a reinterpretation of bits as an unknown call and serializes its
    # lanes.
    tvm.ir.register_op_attr("tir.reinterpret", "TVectorizable", True)
else:
    import tvm_ffi
    from tvm import tirx as tir
    from tvm.ir import Call
    from tvm.tirx import Expr, Stmt

if TYPE_CHECKING:
    from tvm.ir.transform import Pass
else:
    # ``tvm.transform.module_pass`` turns a class into a pass, which type checkers do not see.
    Pass = object

# Exceptions of our passes, and Ctrl-C inside them, keep their type on the way through TVM.
tvm.error.register_error(QuakeError)
tvm.error.register_error(KeyboardInterrupt)

# The prefix of the names of TVM's intrinsics.
PREFIX = "tir." if RELAY else "tirx."
IF_THEN_ELSE = "tir.if_then_else" if RELAY else "prim.if_then_else"


def fma(a: Expr, b: Expr, c: Expr) -> Expr:
    """a*b + c with one rounding; :mod:`.numerics.single_rounding` ensures that on every target."""
    return tir.call_intrin(dtype_of(a), PREFIX + "fma", a, b, c)


def is_load(expr: Expr) -> bool:
    """Whether an expression is an element of a buffer."""
    return isinstance(expr, tir.BufferLoad if RELAY else tvm.ir.TensorLoad)


def fma_operands(call: Call) -> "list[Expr] | None":
    """The operands of :func:`fma` and of what TVM lowers it to; None for other calls."""
    if not isinstance(call.op, tvm.ir.Op):
        return None
    if call.op.name == PREFIX + "fma":
        return list(call.args)
    # llvm.fmuladd, which may round once or twice.
    muladd = tvm.target.codegen.llvm_lookup_intrinsic_id("llvm.fmuladd")
    if call.op.name != PREFIX + "call_llvm_pure_intrin" or call.args[0].value != muladd:
        return None
    return list(call.args)[2 if RELAY else 1 :]  # Relay's TVM counts the operands


def llvm_fma(dtype: str, operands: "list[Expr]") -> Expr:
    """A call of LLVM's fma intrinsic, which must round once."""
    counted = [tir.const(len(operands), "uint32")] if RELAY else []
    return tir.call_llvm_pure_intrin(dtype, "llvm.fma", *counted, *operands)


def import_llvm(source: str, body: Stmt) -> Stmt:
    """The statement, together with LLVM IR of functions that it calls."""
    text = (tir if RELAY else tvm.ir).StringImm(source)
    return tir.AttrStmt(text, "pragma_import_llvm", text, body)


def replace_build(
    kind: str, prepare: Callable[[tvm.IRModule, tvm.target.Target], tvm.IRModule]
) -> None:
    """Run ``prepare`` on modules before TVM's code generator of a kind.

    No pass runs as late in every way to build.

    Parameters
    ----------
    kind : str
        A kind of target, as ``"llvm"``.
    prepare : callable
        (module, target) to module.
    """
    name = f"target.build.{kind}"
    generate = tvm.get_global_func(name)

    def build(mod: tvm.IRModule, target: tvm.target.Target) -> Any:
        return generate(prepare(mod, target), target)

    register = tvm.register_func if RELAY else tvm.register_global_func
    register(name, build, override=True)


def dtype_of(expr: Expr) -> str:
    """The dtype of an expression, or of an element of a tensor expression."""
    return str(getattr(expr, "ty", expr).dtype)


# The attribute that marks an allocation in Relay's TVM until :func:`nest` runs.
_ALLOCATION = "quake.allocation"


def alloc(buffer: tir.Buffer) -> Stmt:
    """Allocate a buffer for the statements that follow in the same sequence."""
    if RELAY:
        return tir.AttrStmt(buffer.data, _ALLOCATION, buffer.shape[0], tir.Evaluate(0))
    return tir.AllocBuffer(buffer)


def nest(body: Stmt) -> Stmt:
    """Put the statements after an :func:`alloc` inside it, if this TVM requires that."""
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
    """Operator attributes with any names."""
    return tvm.ir.make_node("DictAttrs" if RELAY else "ir.DictAttrs", **values)


def register_op(name: str, description: str) -> tvm.ir.Op:
    """Register an operator of this library with TVM, or return it if it exists already."""
    if name not in tvm.ir.Op.list_op_names():
        tvm.ir._ffi_api.RegisterOp(name, description)
    return tvm.ir.Op.get(name)


def updated(mod: tvm.IRModule, functions: dict[tvm.ir.GlobalVar, Any]) -> tvm.IRModule:
    """The module with some functions replaced; the same module if ``functions`` is empty."""
    if not functions:
        return mod
    kept = [mod.type_definitions] if RELAY else []
    mod = tvm.IRModule(mod.functions, *kept, attrs=mod.attrs, global_infos=mod.global_infos)
    for name, function in functions.items():
        mod.update_func(name, function)
    return mod


def native_triple() -> str | None:
    """This machine's triple if TVM's LLVM assumes another, as Relay's does; otherwise None."""
    return f"{platform.machine()}-linux-gnu" if RELAY else None


def llvm_knows(cpu: str, triple: str) -> bool:
    """Whether TVM's LLVM can generate code for a CPU under this triple."""
    architecture = Triple.parse(triple).architecture
    if architecture.startswith("arm") and architecture != "arm":
        return False  # LLVM can crash for an ARM architecture that does not exist, as arm65
    if not RELAY:
        return tvm.target.codegen.llvm_is_valid_cpu(cpu, triple)
    # This TVM crashes if it is asked for the CPUs of an architecture that it was built without.
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
    """The statement with each call replaced by the result of ``f``, inner calls first."""
    if RELAY:
        return tir.stmt_functor.ir_transform(body, None, f, ["tir.Call"])
    return tvm_ffi.structural_map(body, (Call, f))


def map_stores(body: Stmt, f: Callable[[tir.BufferStore], Stmt]) -> Stmt:
    """The statement with each store replaced by the result of ``f``."""
    if RELAY:
        return tir.stmt_functor.ir_transform(body, None, f, ["tir.BufferStore"])
    return tvm_ffi.structural_map(body, (tir.BufferStore, f))


def replace_variable(body: Stmt, old: tir.Var, new: tir.Var) -> Stmt:
    """The statement with a variable replaced by another."""
    if RELAY:
        return tir.stmt_functor.substitute(body, {old: new})
    return tvm_ffi.structural_map(body, (tir.Var, lambda var: new if var.same_as(old) else var))


Again = Callable[[Expr], Expr]


def descend(
    expr: Expr | Stmt, rules: "dict[type, Callable[[Any, Again], Expr | None]]"
) -> Expr | Stmt:
    """The expression or statement with nodes of some types replaced by the results of their rules.

    A rule runs before the inside of its node is visited, and calls its second argument to visit a
    part of it. If a rule returns None, the node is visited as usual.
    """
    if RELAY:
        names = [f"tir.{kind.__name__}" for kind in rules]

        def enter(node: Any) -> "Expr | None":
            return rules[type(node)](node, again)

        def again(inner: Expr | Stmt) -> Expr | Stmt:
            if isinstance(inner, Stmt):
                return tir.stmt_functor.ir_transform(inner, enter, None, names)
            return tir.stmt_functor.ir_transform(tir.Evaluate(inner), enter, None, names).value

        return again(expr)

    def owned(rule: "Callable[[Any, Again], Expr | None]") -> Callable[[Any, Any], Any]:
        def replaced(node: Any, mutator: Any) -> Any:
            found = rule(node, mutator.mutate)
            return mutator.default_mutate(node) if found is None else found

        return replaced

    return tvm_ffi.structural_mutate(expr, [(kind, owned(rule)) for kind, rule in rules.items()])
