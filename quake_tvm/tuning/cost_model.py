"""MetaSchedule's cost models, which predict a candidate's cost from measured candidates.

XGBoost's model needs its package. ``random`` needs none and only guesses. Knows no rule and no
clock.
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
# Major versions of XGBoost. The first and the last are tested: make test-xgboost.
OLDEST, NEWEST = 2, 3
INSTALL = f"pip install 'xgboost>={OLDEST},<{NEWEST + 1}'"
# The number of measured candidates, of all kernels, from which on the model predicts.
ENOUGH = 12
# The cost of a failed candidate, for MetaSchedule.
FAILED = 1e10


def check(name: str) -> None:
    """Raise QuakeError for an unknown model, or one whose package is missing or unsupported."""
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
    """One cost model for all kernels of a session.

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
        """A score for each scheduled function of a kernel. Higher scores mean faster functions."""
        return np.asarray(self.model.predict(context, [_candidate(f) for f in functions]))

    def learn(
        self,
        context: ms.TuneContext,
        functions: Sequence[tir.PrimFunc],
        costs: Sequence[float | None],
    ) -> None:
        """Train with measured costs; None for a candidate that failed.

        Parameters
        ----------
        context : TuneContext
            The kernel's context.
        functions : sequence of PrimFunc
            The scheduled candidates.
        costs : sequence of float or None
        """
        results = [ms.runner.RunnerResult([FAILED if c is None else c], None) for c in costs]
        self.model.update(context, [_candidate(f) for f in functions], results)


def _candidate(function: tir.PrimFunc) -> ms.MeasureCandidate:
    schedule = Schedule(tvm.IRModule({"main": function}))
    return ms.MeasureCandidate(schedule, ms.arg_info.ArgInfo.from_prim_func(function))
