"""The pass ``QuAKE``: its options and the order of its steps."""

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import tvm

from quake_tvm.kernels import short_lets  # noqa: F401  (prepare TVM's builds)
from quake_tvm.numerics import single_rounding  # noqa: F401  (prepare TVM's builds)
from quake_tvm.numerics.number_formats import COMPUTED
from quake_tvm.options import Options
from quake_tvm.site_plan import Plan
from quake_tvm.support.compiler_lock import compiling
from quake_tvm.tvm_version import Pass

from . import fold_affine, lower_tir, recognize_elementwise, recognize_rows
from .dialect import astype, call, dtype, replace_chains, rewrite, shape_text
from .dialect import lower as lower_graph
from .graph import Graph, Site
from .site_attrs import SiteAttrs


@tvm.transform.module_pass(opt_level=0, name="QuAKE")
class QuAKE(Pass):
    """Lower a module's exponential nonlinearities to IEEE-754 bit manipulation.

    Parameters
    ----------
    method : str, optional
        ``"quake1"`` to ``"quake5"``, ``"lut8"``, ``"lut16"`` or ``"exact"``. The default is
        ``"quake4"`` if ``max_error`` is not given either.
    max_error : float, optional
        Instead of ``method``: for each operator the cheapest rung whose proven bound
        (``quake_tvm.bound``) is at most this.
    only, skip : iterable of str, optional
        The operators to lower, or to leave exact.
    special_values : {"ieee", "finite"}
        ``"ieee"`` (default) gives NaN and infinities their right results. ``"finite"`` drops the
        guards, for models whose inputs are known to be finite.
    plan : Plan or path, optional
        Instead of all options but ``special_values``: a rung for every site, as made by
        ``quake_tvm.plan``.

    Raises
    ------
    QuakeError
        If an option does not exist or contradicts another one.

    Notes
    -----
    float32, float16 and bfloat16 sites are lowered (on Relay not bfloat16); half precision computes
    in float32. Other dtypes, unknown patterns and everything else in the module stay unchanged.
    Running the pass on its own result changes nothing.
    """

    def __init__(
        self,
        method: str | None = None,
        max_error: float | None = None,
        only: Iterable[str] | None = None,
        skip: Iterable[str] | None = None,
        special_values: str = "ieee",
        plan: Plan | str | Path | None = None,
    ) -> None:
        self.options = Options.parse(method, max_error, only, skip, special_values, plan)

    @compiling()
    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Recognise and fold sites, lower them in the graph, then lower calls inside PrimFuncs.

        Chains between integers become tables first, unless the method is ``"exact"``.
        """
        if self.options.method != "exact":
            mod = replace_chains(mod, self.options.entries)
        return lower(recognize(mod, self.options), self.options)


def recognize(mod: tvm.IRModule, options: Options, numbered: bool = False) -> tvm.IRModule:
    """Replace the sites that the options want lowered by ``quake`` operators, and fold into them.

    Parameters
    ----------
    mod : IRModule
        In the dialect of the installed TVM.
    options : Options
    numbered : bool
        Whether each operator carries its site's number, from 1, in the model's order.

    Returns
    -------
    IRModule

    Raises
    ------
    QuakeError
        If the plan in the options has another number of sites.
    """

    exact: list[Site] = []
    numbers = count(1)

    def make(site: Site) -> Any:
        """The ``quake`` operator's call, or None if the site stays exact."""
        x, number = site.args[0], next(numbers)
        method = options.choose(site.operator, dtype(x), shape_text(x), number).method
        if method is None:
            exact.append(site)
            return None
        attributes = SiteAttrs.from_attrs(
            {
                "method": method,
                "ieee": options.ieee,
                "source": site.source,
                "shape": shape_text(x),
                "site": number if numbered else 0,
                **site.attributes,
            }
        )
        if dtype(x) == COMPUTED:
            return call(site.operator, *site.args, **attributes.to_attrs())
        wide = [astype(arg, COMPUTED) for arg in site.args]
        return astype(call(site.operator, *wide, **attributes.to_attrs()), dtype(x))

    def fold(graph: Graph) -> list[Site]:
        """The foldable sites.

        All steps of a site that stays exact are kept, so that it is found again.
        """
        kept = (var for site in (find_sites(graph) if exact else ()) for var in site.region)
        return fold_affine.find(graph, frozenset(kept))

    mod = rewrite(mod, find_sites, make)
    options.check_sites(next(numbers) - 1)
    return rewrite(mod, fold, lambda site: call(site.operator, *site.args, **site.attributes))


def lower(mod: tvm.IRModule, options: Options) -> tvm.IRModule:
    """Lower the ``quake`` operators, then the intrinsics that are left inside PrimFuncs."""
    return lower_tir.lower(lower_graph(mod, options), options)


def find_sites(graph: Graph) -> list[Site]:
    """Every nonlinearity of a function, in its order. Each binding belongs to at most one site."""
    rows = recognize_rows.find(graph)
    claimed = frozenset(var for site in rows for var in graph.owned(site.var, site.region))
    place = {var: n for n, var in enumerate(graph.values)}
    return sorted(
        [*rows, *recognize_elementwise.find(graph, claimed)], key=lambda site: place[site.var]
    )
