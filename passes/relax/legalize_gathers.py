"""Mark the kernels of gathers and scatters, whose indices are checked.

The kernels are TVM's own, except for take. In the only mode that does not clip indices, TVM warns
that take may crash. After :mod:`check_indices` it cannot.
"""

from tvm import relax, te

from quake_tvm.kernels.index_check import CHECKED

from .check_indices import USERS
from .legalize import Legalize


def _own(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    emitted = call.op.get_attr("FLegalize")(builder, call)
    name = emitted.args[0]
    builder.update_func(name, builder.get()[name].with_attr(CHECKED, True))
    return emitted


def _take(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    if str(call.attrs.mode) == "nan":
        return _own(builder, call)
    axis = 0 if call.attrs.axis is None else int(call.attrs.axis) % call.args[0].ty.ndim

    def take(x: te.Tensor, index: te.Tensor) -> te.Tensor:
        last = axis + len(index.shape)
        shape = [*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]]
        return te.compute(
            shape, lambda *i: x(*i[:axis], index(*i[axis:last]), *i[last:]), name="T_take"
        )

    return builder.call_te(
        take, *call.args, primfunc_name_hint="take", primfunc_attrs={CHECKED: True}
    )


RULES: dict[str, Legalize] = {**dict.fromkeys(USERS, _own), "relax.take": _take}
