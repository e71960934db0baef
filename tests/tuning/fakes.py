"""A runner and a cost model whose answers a test knows, and models that are small."""

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

# What costs nothing of its own.
PRICE = 1e-3


class FakeRunner:
    """Costs by a table, at once; notes what it was asked.

    Parameters
    ----------
    prices : dict
        A scheduled kernel's fingerprint to its cost, None for one that fails.
    digests : dict
        The same to what it computes, where that is not what it should be.
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
    """Ranks by a table, highest first, and notes what it has learnt."""

    def __init__(self, scores=None):
        self.scores, self.learnt = scores or {}, []
        self.model = ms.cost_model.RandomModel(seed=1)

    def predict(self, context, functions):
        return np.array([self.scores.get(fingerprint(f), 0.0) for f in functions])

    def learn(self, context, functions, costs):
        self.learnt += zip(map(fingerprint, functions), costs, strict=True)


class NoSketches:
    """MetaSchedule without an idea."""

    def __init__(self, *_):
        pass

    def propose(self):
        return []


def prices(kernel, price):
    """Of all candidates of a kernel that the rules have, by the numbers that were chosen."""
    found = candidates(kernel.function, target())
    return {fingerprint(c.function): price(c.numbers) for c in found}


def weights(*shape):
    return relax.const(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def dense(x, *shape):
    return relax.BlockBuilder.current().emit(relax.op.matmul(x, weights(*shape)))


def softmax():
    """One kernel, written out; six ways to have it."""
    return module(relax.op.nn.softmax, (32, 64))


def product(columns=16):
    """One product with its GELU, some thirty ways to have it."""
    return module(lambda x: relax.op.nn.gelu(dense(x, 8, columns)), (8, 8))


def both():
    """Softmax of rows, and the GELU of something smaller."""
    return module(lambda x, y: (relax.op.nn.softmax(x), relax.op.nn.gelu(y)), (32, 64), (32, 32))


def tasks_of(*mods, **options):
    return tasks(mods, target(), Options.parse(**options))


def kernel_of(mod):
    ((kernel,),) = (task.kernels for task in tasks_of(mod))
    return kernel
