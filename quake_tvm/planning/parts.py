"""The parts of a model that a plan decides on: groups of sites, products, and look-ups.

A choice is the index of an offer for each part: of a rung for a group, the lowest first; of a
precision for a product, float32 last; of a look-up or the layer itself, the look-up first. Knows
no time and no error.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import relax

from ..numerics.ladder import METHODS
from ..options import Options
from ..passes.relax.choose_look_ups import choices
from ..passes.relax.graph import extents_text
from ..passes.relax.narrow_weights import products
from ..passes.relax.pipeline import Pipeline
from ..passes.relax.quantize_products import quantizable
from ..site_plan import (
    BFLOAT16,
    EXACT,
    FLOAT32,
    INT8,
    LAYER,
    LOOK_UP,
    Offered,
    Plan,
    PlannedLookUp,
    PlannedProduct,
    PlannedSite,
)
from ..tvm_version import tir
from .choice import Calls, Picks
from .placement import INSIDE, Placement
from .probe import BASE
from .search import RungCost


@dataclass(frozen=True)
class Product:
    """A product with constant weights.

    Attributes
    ----------
    shape : str
        Of its weights.
    work : int
        Its multiplications, as far as its extents are known.
    precisions : tuple of str
        Those that it may have, the least accurate first: float32 is the last one.
    """

    shape: str
    work: int
    precisions: tuple[str, ...]

    @staticmethod
    def of(call: relax.Call, allowed: Collection[str]) -> "Product":
        """The product that a call computes, in the allowed precisions that it can have."""
        able = (INT8,) * quantizable(call) + (BFLOAT16,)
        precisions = (*(each for each in able if each in allowed), FLOAT32)
        weights = [int(n) for n in call.args[1].ty.shape]
        columns = weights[-1] if call.op.name == "relax.matmul" else weights[0]
        results = prod(n.value for n in call.ty.shape if isinstance(n, tir.IntImm))
        work = results * prod(weights) // max(columns, 1)
        return Product("x".join(map(str, weights)), work, precisions)

    def index(self, precision: str) -> int:
        """The offer of a precision; of float32 if the product cannot have it."""
        return self.precisions.index(precision if precision in self.precisions else FLOAT32)


@dataclass(frozen=True)
class Parts:
    """The groups of calls that share a rung, the products that may have several precisions, and the
    layers that have a look-up: their numbers, and the shapes of their results.
    """

    where: Placement
    groups: Sequence[Calls]
    products: Sequence[Product]
    look_ups: Mapping[int, str]

    def picks(self, method: str, precision: str = FLOAT32) -> Picks:
        """The choice of one rung for all groups, one precision for all products, and no look-up."""
        rungs = (METHODS.index(method),) * len(self.groups)
        kept = tuple(product.index(precision) for product in self.products)
        return rungs + kept + (1,) * len(self.look_ups)

    def only(self, index: int) -> list[Picks]:
        """The choices of the highest rung, and of another offer than the last for one part.

        Products have the first indices, look-ups the others.
        """
        place, picks = len(self.groups) + index, self.picks(BASE)
        return [(*picks[:place], n, *picks[place + 1 :]) for n in range(picks[place])]

    def is_wide(self, picks: Picks) -> bool:
        """Whether all products are float32, and no layer is a look-up."""
        return picks[len(self.groups) :] == self.picks(BASE)[len(self.groups) :]

    def rungs(self, picks: Picks) -> dict[int, str]:
        """The rung of each call."""
        pairs = zip(self.groups, picks, strict=False)  # the products come after the groups
        return {call: METHODS[n] for calls, n in pairs for call in calls}

    def plan(
        self,
        picks: Picks,
        offers: Sequence[Sequence[RungCost]] = (),
        exact: bool = False,
        **facts: Any,
    ) -> Plan:
        """The plan of a choice.

        Parameters
        ----------
        picks : tuple of int
        offers : sequence of sequences of RungCost
            What each product and look-up costs and gains, for the plan's reader.
        exact : bool
            Whether all sites stay exact.
        **facts
            Further fields of the plan.
        """
        calls = self.rungs(picks)
        rungs = {
            number: EXACT if exact else method
            for call, method in calls.items()
            for number in self.where.calls[call]
        }
        count = len(self.products)
        nothing = RungCost(0.0, 0.0)
        costs = offers or [
            *([nothing] * len(product.precisions) for product in self.products),
            *([nothing] * 2 for _ in self.look_ups),
        ]
        rest = picks[len(self.groups) :]
        numbered = enumerate(zip(self.products, rest[:count], costs[:count], strict=True), 1)
        layers = zip(self.look_ups.items(), rest[count:], costs[count:], strict=True)
        return Plan(
            sites=tuple(PlannedSite(n, *site, rungs[n]) for n, site in self.where.sites.items()),
            inside_kernels=rungs.get(INSIDE, BASE),
            products=tuple(
                PlannedProduct(
                    number,
                    product.shape,
                    product.precisions[pick],
                    tuple(
                        Offered(precision, each.error, 1e3 * (full.time - each.time))
                        for precision, each in zip(product.precisions, others, strict=False)
                    ),
                )
                for number, (product, pick, (*others, full)) in numbered
            ),
            look_ups=tuple(
                PlannedLookUp(
                    *layer,
                    LAYER if kept else LOOK_UP,
                    look_up.error,
                    1e3 * (full.time - look_up.time),
                )
                for layer, kept, (look_up, full) in layers
            ),
            **facts,
        )


def products_of(
    mod: tvm.IRModule, target: tvm.target.Target, allowed: Collection[str]
) -> list[Product]:
    """The products of an imported model that can have bfloat16 operands, in their order.

    ``allowed`` are the precisions that they may have, besides float32.
    """
    prepare = Pipeline(target, Options.parse(BASE)).upto("prepare")
    with target:
        return [Product.of(call, allowed) for call in products(prepare(mod), BFLOAT16)]


def look_ups_of(mod: tvm.IRModule) -> dict[int, str]:
    """The shapes of the results of an imported model's layers with a look-up, by their numbers."""
    return {n: extents_text(list(call.ty.shape)) for n, call in choices(mod).items()}
