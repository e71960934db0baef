"""Run TVM's pass that turns reshapes into views, unless TVM fails on the module.

Its arithmetic fails on some kernels with dynamic extents, for example a slice of n - 2 elements. A
module with such a kernel copies at reshapes.
"""

import logging

import tvm
from tvm import relax

from quake_tvm.errors import last_line
from quake_tvm.tvm_version import Pass

logger = logging.getLogger(__name__)


@tvm.transform.module_pass(opt_level=0, name="ViewReshapes")
class ViewReshapes(Pass):
    """Turn reshapes into views. A module on which TVM fails is unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Run TVM's pass."""
        try:
            return relax.transform.RewriteDataflowReshape()(mod)
        except tvm.error.InternalError as error:
            logger.info("reshapes are copied: %s", last_line(error))
            return mod
