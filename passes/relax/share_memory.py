"""Let tensors of different symbolic sizes take turns in the same memory.

TVM's plan gives memory that is free again only to tensors of the same symbolic size. A model then
touches far more memory than its build for constant sizes, and its tensors leave the caches. Here a
tensor takes the free block of the nearest size, as TVM's plan does for constant sizes. Which size
is near depends on the run. The plan assumes ``ABOUT`` for each extent, and a block gets the largest
size that a tensor in it has. Knows no operator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import tvm
import tvm_ffi
from tvm import relax, tirx

from quake_tvm.tvm_version import Pass, updated

from .check_allocations import MOST, divisors, variables
from .graph import functions, op_name

# The size that an extent is assumed to have.
ABOUT = 64
# A tensor takes no block that is more than so many times as large, or as small, as itself.
NEAR = 16
# The most bytes of a tensor whose shape has passed its check.
_MOST_BYTES = 8 * MOST
_STORAGE, _TENSOR = "relax.memory.alloc_storage", "relax.memory.alloc_tensor"


@dataclass(frozen=True)
class _Tensor:
    """A tensor of symbolic size: the binding that allocates it, and the last one that uses it."""

    bytes: tirx.Expr
    about: int
    first: int
    last: int


@dataclass
class _Block:
    """Memory for one tensor after the other."""

    about: int
    tensors: list[_Tensor] = field(default_factory=list)

    def free_at(self, k: int) -> bool:
        """Whether no tensor is in the block when binding number ``k`` runs."""
        return self.tensors[-1].last < k

    def has_size(self, tensor: _Tensor) -> bool:
        """Whether some tensor of the block has the same size."""
        return any(tvm_ffi.structural_equal(each.bytes, tensor.bytes) for each in self.tensors)

    def size(self) -> tirx.Expr:
        """The bytes of the largest tensor.

        They are computed before the shapes of later tensors are checked. A size that its check will
        refuse counts as 0.
        """
        first, *rest = self.tensors
        largest, seen = first.bytes, [first.bytes]
        for each in rest:
            if any(tvm_ffi.structural_equal(each.bytes, other) for other in seen):
                continue
            seen.append(each.bytes)
            possible = tirx.all(each.bytes >= 0, each.bytes <= _MOST_BYTES)
            largest = tirx.max(largest, tirx.Select(possible, each.bytes, tirx.const(0, "int64")))
        return largest


def _assigned(tensors: Sequence[_Tensor]) -> list[_Block]:
    """The blocks of all tensors, which come in the order of their allocation."""
    blocks: list[_Block] = []
    for tensor in tensors:
        free = [block for block in blocks if block.free_at(tensor.first)]
        near = [
            b for b in free if tensor.about <= NEAR * b.about and b.about <= NEAR * tensor.about
        ]
        same = [b for b in free if b.has_size(tensor)]
        larger = [b for b in near if b.about >= tensor.about]
        if same:
            block = same[-1]
        elif larger:
            block = min(larger, key=lambda b: b.about)
        elif near:
            block = max(near, key=lambda b: b.about)
        else:
            block = _Block(tensor.about)
            blocks.append(block)
        block.about = max(block.about, tensor.about)
        block.tensors.append(tensor)
    return blocks


def _about(bytes_: tirx.Expr) -> int:
    """The bytes if each extent has the size ``ABOUT``."""
    sizes = dict.fromkeys(variables([bytes_]), tirx.const(ABOUT, "int64"))
    found = tvm.sym.Analyzer().simplify(tvm_ffi.structural_map(bytes_, [(tirx.Var, sizes.get)]))
    return max(int(found.value), 1) if isinstance(found, tirx.IntImm) else 1


def _mentioned(value: relax.Expr) -> set[relax.Var]:
    found: set[relax.Var] = set()
    relax.analysis.post_order_visit(
        value, lambda e: found.add(e) if isinstance(e, relax.Var) else 0
    )
    return found


def _tensors(
    bindings: Sequence[relax.Binding], sizes: dict[relax.Var, tirx.Expr], outside: set[relax.Var]
) -> Iterator[_Tensor]:
    """The tensors in memory of these sizes that nothing outside of the block uses."""
    mentioned = [_mentioned(binding.value) for binding in bindings]
    nothing = relax.TupleType([])
    for first, binding in enumerate(bindings):
        call = binding.value
        if op_name(call) != _TENSOR or call.args[0] not in sizes:
            continue
        views, last = {binding.var}, first
        for k in range(first + 1, len(bindings)):
            if views & mentioned[k]:
                last = k
                if not tvm_ffi.structural_equal(bindings[k].var.ty, nothing):
                    views.add(bindings[k].var)
        if not views & outside:
            bytes_ = sizes[call.args[0]]
            yield _Tensor(bytes_, _about(bytes_), first, last)


def _shared(
    bindings: Sequence[relax.Binding], known: set[tirx.Var], outside: set[relax.Var]
) -> list[relax.Binding]:
    """The bindings of a block, with tensors of symbolic sizes in shared memory.

    Parameters
    ----------
    bindings : sequence of Binding
    known : set of Var
        The extents that are known when the block begins.
    outside : set of Var
        What is used outside of the block.
    """
    storages = {b.var: b.value for b in bindings if op_name(b.value) == _STORAGE}
    sizes = {
        var: call.args[0].values[0]
        for var, call in storages.items()
        if _may_join(call.args[0].values[0], known)
    }
    placed: dict[int, relax.Var] = {}
    made: dict[int, relax.VarBinding] = {}
    for block in _assigned(list(_tensors(bindings, sizes, outside))):
        first = block.tensors[0].first
        old = storages[bindings[first].value.args[0]]
        call = relax.Call(old.op, [relax.ShapeExpr([block.size()]), *old.args[1:]], old.attrs)
        var = relax.Var("storage", relax.ObjectType())
        made[first] = relax.VarBinding(var, call)
        placed |= {tensor.first: var for tensor in block.tensors}
    done: list[relax.Binding] = []
    for k, binding in enumerate(bindings):
        if k not in placed:
            done.append(binding)
            continue
        if k in made:
            done.append(made[k])
        call = binding.value
        args = [placed[k], *call.args[1:]]
        moved = relax.Call(call.op, args, call.attrs, call.ty_args, ret_ty=call.ty)
        done.append(relax.VarBinding(binding.var, moved))
    used = set().union(*(_mentioned(b.value) for b in done)) | outside
    return [b for b in done if b.var not in sizes or b.var in used]


def _may_join(bytes_: tirx.Expr, known: set[tirx.Var]) -> bool:
    """Whether a size is symbolic, and can be computed when its block of bindings begins."""
    used = variables([bytes_])
    return bool(used) and used <= known and not list(divisors(bytes_))


@tvm.transform.module_pass(opt_level=0, name="ShareMemory")
class ShareMemory(Pass):
    """Share memory in the function itself, not in its branches. Runs behind TVM's plan."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        return updated(mod, {name: _rewritten(f) for name, f in functions(mod)})


def _rewritten(function: relax.Function) -> relax.Function:
    known = {
        variable
        for parameter in function.params
        for variable in relax.analysis.definable_tir_vars_in_type(parameter.ty)
    }
    body = function.body
    blocks = [list(block.bindings) for block in body.blocks]
    for n, block in enumerate(body.blocks):
        others = [b.value for k, each in enumerate(blocks) if k != n for b in each]
        outside = set().union(_mentioned(body.body), *map(_mentioned, others))
        blocks[n] = _shared(block.bindings, known, outside)
    new = [type(old)(bindings) for old, bindings in zip(body.blocks, blocks, strict=True)]
    return relax.Function(
        function.params,
        relax.SeqExpr(new, body.body),
        function.ret_ty,
        function.is_pure,
        function.attrs,
    )
