"""MetaSchedule's cost models: what a candidate may cost, learnt from what others did.

XGBoost's needs the package; ``random`` needs none, and guesses. Knows no rule and no clock.
"""

from collections.abc import Sequence

import numpy as np
import tvm
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

from ..errors import QuakeError
from ..support import given
from ..tvm_version import tir

NAMES = ("xgboost", "random")
# Tried with the first release and the last: make test-xgboost.
OLDEST, NEWEST = 2, 3
INSTALL = f"pip install 'xgboost>={OLDEST},<{NEWEST + 1}'"
# Measured candidates, of all kernels together, from which on it predicts.
ENOUGH = 12
# What a candidate that failed has cost, for MetaSchedule.
FAILED = 1e10


def check(name: str) -> None:
    """Refuse, with a QuakeError, a model that does not exist or whose package is missing."""
    given.choice(name, "cost model", NAMES)
    if name == "random":
        return
    try:
        from xgboost import __version__ as version
    except ImportError:
        raise QuakeError(
            f"the cost model needs XGBoost: {INSTALL}, or choose --cost-model random"
        ) from None
    if not OLDEST <= int(version.partition(".")[0]) <= NEWEST:
        raise QuakeError(
            f"XGBoost {version} is not supported: {INSTALL}, or choose --cost-model random"
        )


class CostModel:
    """One for all kernels of a session.

    Parameters
    ----------
    name : {"xgboost", "random"}
    seed : int
    """

    def __init__(self, name: str = "xgboost", seed: int = 0) -> None:
        check(name)
        if name == "random":
            self.model = ms.cost_model.RandomModel(seed=seed)
        else:
            self.model = ms.cost_model.XGBModel(num_warmup_samples=ENOUGH, num_tuning_cores=1)

    def predict(self, context: ms.TuneContext, functions: Sequence[tir.PrimFunc]) -> np.ndarray:
        """A score for each scheduled function of a kernel, the higher the faster."""
        return np.asarray(self.model.predict(context, [_candidate(f) for f in functions]))

    def learn(
        self,
        context: ms.TuneContext,
        functions: Sequence[tir.PrimFunc],
        costs: Sequence[float | None],
    ) -> None:
        """What they have cost; None for one that failed."""
        results = [ms.runner.RunnerResult([FAILED if c is None else c], None) for c in costs]
        self.model.update(context, [_candidate(f) for f in functions], results)


def _candidate(function: tir.PrimFunc) -> ms.MeasureCandidate:
    schedule = Schedule(tvm.IRModule({"main": function}))
    return ms.MeasureCandidate(schedule, ms.arg_info.ArgInfo.from_prim_func(function))
