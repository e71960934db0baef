"""The effect of rungs and number formats on real tasks with labelled data (``make tasks``).

Reuters-R8 and Lee's document similarity with MiniLM-L6, Tux Paint's stamps with DINOv2, file types
with Magika, handwritten digits with small networks that are trained here. Results are written to
``docs/accuracy/`` (``tasks.json``, ``tasks_formats.json``) and to a section of the page
``docs/accuracy/tasks.md`` as soon as a task is done. Results of other tasks are kept.

    python tutorials/real_tasks.py                    # all tasks on each rung: half an hour
    python tutorials/real_tasks.py lee reuters        # these only
    python tutorials/real_tasks.py --formats [TASK…]  # bfloat16, float16 and int8 instead of rungs
    python tutorials/real_tasks.py --latency          # of the models instead, and a picture
"""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import model_data
from sentence_encoder import fail

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "accuracy"
PAGE = FOLDER / "tasks.md"
THREADS = "TVM_NUM_THREADS"
TASKS = ("lee", "reuters", "stamps", "file_types", "digits")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of: {', '.join(TASKS)}")
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--formats",
        action="store_true",
        help="measure bfloat16, float16 and int8 instead of the rungs, beside ONNX Runtime's int8",
    )
    other.add_argument(
        "--latency",
        action="store_true",
        help="measure no task but the models' latency, and draw it beside what the tasks found",
    )
    arguments = parser.parse_args(argv)
    for name in arguments.tasks:
        if name not in TASKS:
            parser.error(f"unknown task {name!r}; choose from: {', '.join(TASKS)}")
    if arguments.latency and arguments.tasks:
        parser.error("--latency is of all models: name no task")
    return arguments


def evaluate(names: list[str], comparison: ModuleType) -> None:
    """Run the tasks in turn and write each one's results. Tasks without data are skipped.

    ``comparison`` is the module of the section that the results are for.
    """
    from quake_tvm.support.generated_page import write_section
    from tasks import report

    for name in names:
        try:
            task, sizes = import_module(f"tasks.{name}"), comparison.SIZES.get(name, {})
            results = task.evaluate(comparison.WAYS, **sizes)
        except model_data.DataError as error:
            print(f"skipped {name}: {error}", file=sys.stderr)
            continue
        report.keep(FOLDER / comparison.FILE, name, results)
        write_section(PAGE, comparison.SECTION, comparison.section(FOLDER))
        for result in results:
            told = "  ".join(
                f"{way} {report.difference(result, loss)}" for way, loss in result.losses.items()
            )
            print(f"{result.task}, {result.model}, {result.head}: {report.exact(result)}  {told}")


def draw_latency() -> None:
    """Measure the latencies, store them, and draw the picture."""
    from quake_tvm.errors import QuakeError
    from quake_tvm.support.generated_page import write_section
    from tasks import latency, report, rung_report

    results = report.results_of(report.read(FOLDER / rung_report.FILE))
    missing = latency.MODELS.keys() - {result.model for result in results}
    if missing:
        raise QuakeError(f"no task was run with {', '.join(sorted(missing))}: make tasks first")
    found = latency.measure()
    facts = {**report.facts(), "threads": os.environ[THREADS]}
    report.store(FOLDER / rung_report.LATENCY, {"facts": facts, "milliseconds": found})
    latency.draw(found, results, FOLDER / rung_report.PICTURE)
    write_section(PAGE, rung_report.SECTION, rung_report.section(FOLDER))


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    arguments = parse(argv)
    # TVM reads this when it starts its threads. Results do not depend on it, times do.
    os.environ.setdefault(THREADS, "1" if arguments.latency else str(os.cpu_count()))
    try:
        from quake_tvm.errors import QuakeError

        if arguments.latency:
            draw_latency()
        else:
            from tasks import format_report, rung_report

            comparison = format_report if arguments.formats else rung_report
            evaluate(arguments.tasks or list(TASKS), comparison)
    except ModuleNotFoundError as error:
        return fail(f"{error.name} is not installed: pip install -e '.[tasks]'")
    except (model_data.DataError, QuakeError) as error:
        return fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
