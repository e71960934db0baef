"""``quake_tvm.PassContext`` around ``relay.build``."""

import numpy as np
from tvm import relay

import quake_tvm
from quake_tvm.named_targets import target

from .modules import build, module, run


def test_softmax_of_sigmoid():
    rng = np.random.default_rng(0)
    mod = module(lambda x: relay.nn.softmax(relay.sigmoid(x)), (64, 100))
    x = rng.standard_normal((64, 100), dtype="float32")
    exact = run(build(mod), x)
    with quake_tvm.PassContext(opt_level=3, method="quake2") as context:
        lib = relay.build(mod, target())
    found = run(lib, x)
    assert [site.operator for site in context.report.sites] == ["sigmoid", "softmax"]
    bound = quake_tvm.bound("softmax", "quake2")
    assert np.all(np.abs(found - exact) <= (bound.relative + 0.003) * exact + bound.absolute)
    assert not np.array_equal(found, exact)
