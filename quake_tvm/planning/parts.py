"""The parts of a model that a plan decides on: groups of sites, and products.

A choice is the index of an offer for each part: of a rung for a group, the lowest first, and of a
precision for a product, bfloat16 first. Knows no time and no error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm import relax

from ..numerics.ladder import METHODS
from ..options import Options
from ..passes.relax.narrow_weights import products
from ..passes.relax.pipeline import Pipeline
from ..site_plan import BFLOAT16, EXACT, FLOAT32, Plan, PlannedProduct, PlannedSite
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
    """The groups of calls that share a rung, and the products that may have either precision."""

    where: Placement
    groups: Sequence[Calls]
    products: Sequence[Product]

    def picks(self, method: str, precision: str = FLOAT32) -> Picks:
        """The choice of one rung for all groups, and of one precision for all products."""
        rung, wide = METHODS.index(method), int(precision == FLOAT32)
        return (rung,) * len(self.groups) + (wide,) * len(self.products)

    def only(self, product: int) -> Picks:
        """The choice of the highest rung, and of bfloat16 for the product at this index."""
        picks = list(self.picks(BASE))
        picks[len(self.groups) + product] = 0
        return tuple(picks)

    def is_wide(self, picks: Picks) -> bool:
        """Whether all products are float32."""
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
            What each product costs and gains, for the plan's reader.
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
        costs = offers or [(RungCost(0.0, 0.0),) * 2] * len(self.products)
        numbered = enumerate(zip(self.products, picks[len(self.groups) :], costs, strict=True), 1)
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
            **facts,
        )


def products_of(mod: tvm.IRModule, target: tvm.target.Target) -> list[Product]:
    """The products of an imported model that can have bfloat16 operands, in their order."""
    prepare = Pipeline(target, Options.parse(BASE)).upto("prepare")
    with target:
        return [Product.of(call) for call in products(prepare(mod), BFLOAT16)]
