"""TVM's pass that makes views of reshapes, where TVM can tell which kernels are reshapes.

Its arithmetic fails on some kernels of dynamic extents, as a slice of n - 2 elements. A module with
such a kernel copies where it reshapes.
"""

import logging

import tvm
from tvm import relax

from quake_tvm.errors import last_line
from quake_tvm.tvm_version import Pass

logger = logging.getLogger(__name__)


@tvm.transform.module_pass(opt_level=0, name="ViewReshapes")
class ViewReshapes(Pass):
    """Rewrite; a module that TVM fails on is returned as it is."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite."""
        try:
            return relax.transform.RewriteDataflowReshape()(mod)
        except tvm.error.InternalError as error:
            logger.info("reshapes are copied: %s", last_line(error))
            return mod
