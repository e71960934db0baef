"""Plans of real models for error budgets, tested on unseen inputs (``make plans``).

MiniLM-L6 and MiniLM-L3 classify news, Magika files. Each model is planned for an error of 1e-3 of
its outputs and for 0.1 % changed answers, on some inputs. The plans are then tested on others.
Results are written to ``docs/accuracy/`` (``plans.json``, ``plans_precisions.json``) and to a
section of the page ``docs/accuracy/plans.md``. Results of other models are kept.

    python tutorials/real_plans.py                       # all: twenty minutes
    python tutorials/real_plans.py magika                # this one only
    python tutorials/real_plans.py --precisions [CASE…]  # rungs, and products in three precisions
"""

import argparse
import os
import sys

import model_data
from real_tasks import FOLDER, THREADS
from sentence_encoder import fail

CASES = "minilm_l6", "minilm_l3", "magika"


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}")
    parser.add_argument(
        "--precisions",
        action="store_true",
        help="also choose float32, bfloat16 or int8 for each product, within a wider budget",
    )
    arguments = parser.parse_args(argv)
    chosen = arguments.cases
    for name in chosen:
        if name not in CASES:
            parser.error(f"unknown case {name!r}; choose from: {', '.join(CASES)}")
    os.environ.setdefault(THREADS, "1")  # read when TVM starts its threads
    try:
        from quake_tvm.errors import QuakeError
        from quake_tvm.site_plan import PRECISIONS
        from quake_tvm.support.generated_page import write_section
        from tasks import plan_report, planned, report

        if arguments.precisions:
            section, budgets, precisions = "plans_precisions", planned.WIDER_BUDGETS, PRECISIONS
        else:
            section, budgets, precisions = "plans", planned.BUDGETS, PRECISIONS[:1]
        file = FOLDER / f"{section}.json"
        for name in chosen or CASES:
            kept = planned.evaluate(planned.CASES[name](), budgets, precisions)
            table = report.read(file) | {name: plan_report.entry(kept)}
            report.store(file, table)
            write_section(FOLDER / "plans.md", section, plan_report.section(table))
            for plan in kept:
                told = f"{plan.unseen:.2g} on unseen inputs; {plan.verdict}"
                print(f"{plan.model}, {plan.metric} {plan.budget:g}: {told}")
    except ModuleNotFoundError as error:
        return fail(f"{error.name} is not installed: pip install -e '.[tasks]'")
    except (model_data.DataError, QuakeError) as error:
        return fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
