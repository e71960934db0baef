"""Put the definition of an extent in front of the bindings that use it.

TVM's FuseOps binds the call of a group where the group's first operator was. If that one does not
need an extent which a ``match_cast`` defines later, and another of the group does, the call comes
too early.
"""

from collections.abc import Iterator, Sequence

import tvm
import tvm_ffi
from tvm import relax

from quake_tvm.tvm_version import Pass, tir, updated

from .graph import functions


def _used(binding: relax.Binding) -> set[tir.Var]:
    """The values and the extents that a binding uses or defines."""
    found: set[tir.Var] = set()
    for part in (binding.value, binding.var.ty):
        tvm_ffi.structural_walk(part, (tir.Var, found.add))
    return found


def _defined(binding: relax.Binding) -> list[tir.Var]:
    """The value, and the extents that the binding may define."""
    if not isinstance(binding, relax.MatchCast):
        return [binding.var]
    extents = binding.ty.values if isinstance(binding.ty, relax.ShapeType) else binding.ty.shape
    return [binding.var, *(n for n in extents or () if isinstance(n, tir.Var))]


def _ordered(bindings: Sequence[relax.Binding]) -> Iterator[relax.Binding]:
    """The bindings, each behind what it uses, otherwise in their order."""
    coming: dict[tir.Var, relax.Binding] = {}
    for binding in bindings:
        for var in _defined(binding):
            coming.setdefault(var, binding)
    needs = {
        binding.var: {
            own.var for n in _used(binding) if (own := coming.get(n)) and not own.same_as(binding)
        }
        for binding in bindings
    }
    waiting: list[relax.Binding] = []
    done: set[tir.Var] = set()
    for binding in bindings:
        waiting.append(binding)
        while ready := next((b for b in waiting if needs[b.var] <= done), None):
            waiting.remove(ready)
            done.add(ready.var)
            yield ready
    yield from waiting


@tvm.transform.module_pass(opt_level=0, name="OrderExtents")
class OrderExtents(Pass):
    """Reorder the bindings of each block. Blocks in order are unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        updates = {}
        for name, function in functions(mod):
            blocks = [_in_order(block) for block in function.body.blocks]
            pairs = zip(blocks, function.body.blocks, strict=True)
            if not all(new.same_as(old) for new, old in pairs):
                sequence = relax.SeqExpr(blocks, function.body.body)
                body = relax.BlockBuilder(mod).normalize(sequence)
                updates[name] = relax.Function(
                    function.params, body, function.ret_ty, function.is_pure, function.attrs
                )
        return updated(mod, updates)


def _in_order(block: relax.BindingBlock) -> relax.BindingBlock:
    bindings = list(_ordered(block.bindings))
    if all(new.same_as(old) for new, old in zip(bindings, block.bindings, strict=True)):
        return block
    return type(block)(bindings)
