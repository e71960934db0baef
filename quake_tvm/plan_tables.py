"""A plan as tables: its sites, its products, and the whole model on each rung. Knows no graph."""

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from .site_plan import Plan


def tables(plan: "Plan") -> list[Table]:
    """The tables of a plan. Those of products and look-ups only if the plan has any."""
    products = [_products(plan)] if plan.products else []
    look_ups = [_look_ups(plan)] if plan.look_ups else []
    return [_sites(plan), *products, *look_ups, _rungs(plan)]


def _sites(plan: "Plan") -> Table:
    table = Table("site", "operator", "shape", "rung")
    for site in plan.sites:
        table.add_row(str(site.number), site.operator, site.shape, site.method)
    return table


def _products(plan: "Plan") -> Table:
    table = Table(
        "product", "weights", "precision", "others: error, ms that they gain", title="products"
    )
    for product in plan.products:
        offers = (f"{o.precision}: {o.error:.3g}, {o.milliseconds:.3g}" for o in product.offers)
        row = str(product.number), product.shape, product.precision, "; ".join(offers)
        table.add_row(*row)
    return table


def _look_ups(plan: "Plan") -> Table:
    table = Table(
        "layer", "shape", "choice", "error of the look-up", "ms that it gains",
        title="feed-forward layers with a look-up",
    )  # fmt: skip
    for each in plan.look_ups:
        table.add_row(
            str(each.number),
            each.shape,
            each.choice,
            f"{each.error:.3g}",
            f"{each.milliseconds:.3g}",
        )
    return table


def _rungs(plan: "Plan") -> Table:
    title = f"{plan.metric} error on {plan.inputs} inputs; budget {plan.budget:.3g}"
    table = Table("rung", "error", "ms a call", title=title)
    for row in plan.uniform:
        table.add_row(row.name, f"{row.error:.3g}", f"{row.milliseconds:.4g}")
    table.add_section()
    times = plan.predicted_milliseconds, plan.measured_milliseconds
    for name, error, time in zip(
        ("plan, predicted", "plan, measured"), (plan.predicted, plan.measured), times, strict=True
    ):
        table.add_row(name, f"{error:.3g}", f"{time:.4g}")
    return table
