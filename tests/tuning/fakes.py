"""A runner and a cost model with known answers, and small models."""

import numpy as np
from tvm import relax
from tvm.s_tir import meta_schedule as ms

from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.schedules.records.trace import fingerprint
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning.kernels import tasks
from quake_tvm.tuning.runner import Timing
from tests.helpers import module

# The cost of a kernel that is not in the table.
PRICE = 1e-3


class FakeRunner:
    """Takes costs from a table, without a delay, and records the requests.

    Parameters
    ----------
    prices : dict
        A scheduled kernel's fingerprint to its cost, None for one that fails.
    digests : dict
        A fingerprint to the digest of its results, if that differs from the others'.
    batch : int
    """

    measured, unit = "clock", "s"
    sees_threads = True

    def __init__(self, prices=None, digests=None, batch=4):
        self.prices, self.digests, self.batch = prices or {}, digests or {}, batch
        self.asked, self.compared, self.closed = [], [], False

    def measure(self, kernels):
        for n, kernel in reversed(list(enumerate(kernels))):
            code = fingerprint(kernel)
            self.asked.append(code)
            cost = self.prices.get(code, PRICE)
            failed = Timing(None, "it fails")
            yield n, failed if cost is None else Timing(cost, "", self.digests.get(code, "same"))

    def compare(self, kernels, rounds):
        codes = [fingerprint(kernel) for kernel in kernels]
        self.compared.append(codes)
        return [[self.prices.get(code, PRICE)] * rounds for code in codes]

    def close(self):
        self.closed = True


class FakeModel:
    """Ranks candidates by a table, highest first, and records what it has learnt."""

    def __init__(self, scores=None):
        self.scores, self.learnt = scores or {}, []
        self.model = ms.cost_model.RandomModel(seed=1)

    def predict(self, context, functions):
        return np.array([self.scores.get(fingerprint(f), 0.0) for f in functions])

    def learn(self, context, functions, costs):
        self.learnt += zip(map(fingerprint, functions), costs, strict=True)


class NoSketches:
    """MetaSchedule without any proposal."""

    def __init__(self, *_):
        pass

    def propose(self):
        return []


def prices(kernel, price):
    """Prices of all candidates of the rules for a kernel, as a function of the chosen numbers."""
    found = candidates(kernel.function, target())
    return {fingerprint(c.function): price(c.numbers) for c in found}


def weights(*shape):
    return relax.const(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def dense(x, *shape):
    return relax.BlockBuilder.current().emit(relax.op.matmul(x, weights(*shape)))


def softmax():
    """A model of one generated kernel with six candidates."""
    return module(relax.op.nn.softmax, (32, 64))


def product(columns=16):
    """A model of one product with its GELU, with some thirty candidates."""
    return module(lambda x: relax.op.nn.gelu(dense(x, 8, columns)), (8, 8))


def both():
    """A softmax of rows, and the GELU of a smaller tensor."""
    return module(lambda x, y: (relax.op.nn.softmax(x), relax.op.nn.gelu(y)), (32, 64), (32, 32))


def tasks_of(*mods, **options):
    return tasks(mods, target(), Options.parse(**options))


def kernel_of(mod):
    ((kernel,),) = (task.kernels for task in tasks_of(mod))
    return kernel
