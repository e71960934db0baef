"""The parts of a model that a plan decides on: groups of sites, products, and look-ups.

A choice is the index of an offer for each part: of a rung for a group, the lowest first; of a
precision for a product, bfloat16 first; of a look-up or the layer itself, the look-up first. Knows
no time and no error.
"""

from collections.abc import Mapping, Sequence
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
from ..site_plan import (
    BFLOAT16,
    EXACT,
    FLOAT32,
    LAYER,
    LOOK_UP,
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
    """

    shape: str
    work: int

    @staticmethod
    def of(call: relax.Call) -> "Product":
        """The product that a call computes."""
        weights = [int(n) for n in call.args[1].ty.shape]
        columns = weights[-1] if call.op.name == "relax.matmul" else weights[0]
        results = prod(n.value for n in call.ty.shape if isinstance(n, tir.IntImm))
        return Product("x".join(map(str, weights)), results * prod(weights) // max(columns, 1))


@dataclass(frozen=True)
class Parts:
    """The groups of calls that share a rung, the products that may have either precision, and the
    layers that have a look-up: their numbers, and the shapes of their results.
    """

    where: Placement
    groups: Sequence[Calls]
    products: Sequence[Product]
    look_ups: Mapping[int, str]

    def picks(self, method: str, precision: str = FLOAT32) -> Picks:
        """The choice of one rung for all groups, one precision for all products, and no look-up."""
        rung, wide = METHODS.index(method), int(precision == FLOAT32)
        return (rung,) * len(self.groups) + (wide,) * len(self.products) + (1,) * len(self.look_ups)

    def only(self, index: int) -> Picks:
        """The choice of the highest rung, and of bfloat16 or a look-up for the part at this index.

        Products have the first indices, look-ups the others.
        """
        picks = list(self.picks(BASE))
        picks[len(self.groups) + index] = 0
        return tuple(picks)

    def is_wide(self, picks: Picks) -> bool:
        """Whether all products are float32, and no layer is a look-up."""
        return all(picks[len(self.groups) :])

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
        offers : sequence of pairs of RungCost
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
        costs = offers or [(RungCost(0.0, 0.0),) * 2] * (count + len(self.look_ups))
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
                    FLOAT32 if wide else BFLOAT16,
                    narrow.error,
                    1e3 * (full.time - narrow.time),
                )
                for number, (product, wide, (narrow, full)) in numbered
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


def products_of(mod: tvm.IRModule, target: tvm.target.Target) -> list[Product]:
    """The products of an imported model that can have bfloat16 operands, in their order."""
    prepare = Pipeline(target, Options.parse(BASE)).upto("prepare")
    with target:
        return [Product.of(call) for call in products(prepare(mod), BFLOAT16)]


def look_ups_of(mod: tvm.IRModule) -> dict[int, str]:
    """The shapes of the results of an imported model's layers with a look-up, by their numbers."""
    return {n: extents_text(list(call.ty.shape)) for n, call in choices(mod).items()}
