"""Plan the rungs of a sentence encoder site by site, for an error that you choose.

paraphrase-MiniLM-L3-v2 has three softmaxes and three GELUs. The planner measures the error of each
site on each rung on a dozen sentences, with all other sites exact to a few ulp. A plan is the
fastest choice of rungs that keeps the error of the model's own outputs within the budget. It also
states what a single rung for all sites would give. Then the plan is compared with the exact model
on other sentences.

    python tutorials/plan_accuracy.py --budget 1e-3
    python tutorials/plan_accuracy.py --metric cosine --budget 1e-6

The same in the shell, with the inputs in a file::

    quake-tvm plan encoder.onnx --inputs calibration.npz --budget 1e-3 -o plan.toml \\
        --shape input_ids=1,128 --shape attention_mask=1,128
    quake-tvm compile encoder.onnx --plan plan.toml -o encoder.so \\
        --shape input_ids=1,128 --shape attention_mask=1,128
"""

import argparse
import sys
from pathlib import Path

import model_data
import quake_tvm
import sentence_encoder
from quake_tvm.planning.metrics import named

CALIBRATION, SENTENCES = 12, 60


def run(arguments: argparse.Namespace) -> None:
    """Plan, compile with the plan, and test it on other sentences."""
    encoder = model_data.sentence_encoder()
    sentences, _ = sentence_encoder.read_sentences(SENTENCES)
    feeds = sentence_encoder.tokenize(sentences)
    shapes = {name: array.shape for name, array in feeds[0].items()}

    # 1. Plan on some inputs. More inputs, and more typical ones, make a better plan.
    plan = quake_tvm.plan(
        encoder,
        feeds[:CALIBRATION],
        arguments.budget,
        arguments.metric,
        shapes=shapes,
        progress=lambda what, done, total: print(f"\r\x1b[K{what} {done}/{total}", end=""),
    )
    print("\r\x1b[K", end="")
    for row in plan.uniform:
        print(f"{row.method}: {plan.metric} error {row.error:.2g}, {row.milliseconds:.2f} ms")

    # 2. A plan is a small file that you can read and change.
    plan.save(arguments.output)
    for site in plan.sites:
        print(f"site {site.number}: {site.operator} {site.shape} on {site.method}")

    # 3. Compile with the plan. The report shows the planned error.
    planned = quake_tvm.compile(encoder, plan=arguments.output, shapes=shapes)
    print(planned.report.plan)

    # 4. Does the plan hold for sentences that it was not made on?
    exact = quake_tvm.compile(encoder, method="exact", shapes=shapes)
    unseen = feeds[CALIBRATION:]
    expected, found = ([model.run(x) for x in unseen] for model in (exact, planned))
    _, metric = named(arguments.metric)
    error = metric(expected, found)
    kept = "kept" if error <= plan.budget else "not kept: give more inputs, or a smaller budget"
    print(f"{len(unseen)} other sentences: {plan.metric} error {error:.2g}, the budget is {kept}")


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budget", type=float, default=1e-3)
    parser.add_argument("--metric", default="relative", help="absolute, relative, cosine, kl, top1")
    parser.add_argument("--output", type=Path, default=Path("plan.toml"))
    arguments = parser.parse_args(argv)
    try:
        run(arguments)
    except (model_data.DataError, quake_tvm.QuakeError) as error:
        return sentence_encoder.fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
