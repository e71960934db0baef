"""Plans of real models to budgets, held against inputs they have not seen (``make plans``).

MiniLM-L6 classifies news, Magika files. Each is planned to an error of 1e-3 of its outputs and to
0.1 % of its answers, on some inputs; the plans then meet others. Results go to
``docs/accuracy/plans.json`` and to the section of ``ACCURACY.md``.

    python tutorials/real_plans.py             # both: half an hour
    python tutorials/real_plans.py files       # this one only, printed and not kept
"""

import argparse
import os
import sys

import model_data
from real_tasks import FOLDER, PAGE, THREADS
from sentence_encoder import fail

CASES = ("texts", "files")


def main(argv: list[str] | None = None) -> int:
    """Parse, run; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}")
    chosen = parser.parse_args(argv).cases
    for name in chosen:
        if name not in CASES:
            parser.error(f"unknown case {name!r}; choose from: {', '.join(CASES)}")
    os.environ.setdefault(THREADS, "1")  # read when TVM starts its threads
    try:
        from quake_tvm.errors import QuakeError
        from quake_tvm.generated_page import write_section
        from tasks import planned, report

        kept = [k for name in chosen or CASES for k in planned.evaluate(planned.CASES[name]())]
        section = planned.section(kept, report.facts())
        print(section)
        if not chosen:
            report.store(FOLDER / "plans.json", planned.table(kept, report.facts()))
            write_section(PAGE, "plans", section)
    except ModuleNotFoundError as error:
        return fail(f"{error.name} is not installed: pip install -e '.[tasks]'")
    except (model_data.DataError, QuakeError) as error:
        return fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
