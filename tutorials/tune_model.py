"""A sentence encoder tuned on this machine, and the use of its records.

paraphrase-MiniLM-L3-v2 is tuned for some minutes. The kernels that take the most time come first.
Each candidate is compiled, measured, and written to disk at once. The best candidates become
records, lines of JSON in a folder. Compiling with this folder needs no more tuning, and the records
also serve other lengths. You can interrupt the tune at any time (Ctrl-C): measurements are kept,
and ``--resume`` continues.

    python tutorials/tune_model.py --minutes 10 --plot curve.png

The same in the shell, with a live view::

    quake-tvm tune encoder.onnx --minutes 10 --records records \\
        --shape input_ids=1,128 --shape attention_mask=1,128
    quake-tvm compile encoder.onnx --records records -o encoder.so \\
        --shape input_ids=1,128 --shape attention_mask=1,128
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np

import model_data
import quake_tvm
import sentence_encoder

ROUNDS = 15


def inputs(tokens: int) -> sentence_encoder.Feeds:
    """Input of random words without padding."""
    words = np.random.default_rng(0).integers(1000, 30000, (1, tokens))
    return {"input_ids": words, "attention_mask": np.ones((1, tokens), np.int64)}


def compare(tokens: int, records: Path) -> float:
    """Tuned over untuned latency: the median of ratios of interleaved measurements."""
    feeds = inputs(tokens)
    shapes = {name: array.shape for name, array in feeds.items()}
    path = model_data.sentence_encoder()
    untuned = quake_tvm.compile(path, shapes=shapes, records=False)
    tuned = quake_tvm.compile(path, shapes=shapes, records=records)
    for a, b in zip(untuned.run(feeds), tuned.run(feeds), strict=True):
        assert np.array_equal(a, b)  # schedules change no bit
    ratios = []
    for _ in range(ROUNDS):
        (before,), (after,) = (m.benchmark(feeds, number=5, repeat=1) for m in (untuned, tuned))
        ratios.append(after / before)
    sources = sorted({source for source in tuned.report.records.values() if source != "rule"})
    print(f"{tokens} tokens: {statistics.median(ratios):.3f} of untuned ({', '.join(sources)})")
    return statistics.median(ratios)


def run(arguments: argparse.Namespace) -> None:
    """Tune, then compile with the records."""
    feeds = inputs(arguments.tokens)

    def progress(state: object) -> None:
        print(f"\r\x1b[K{state.trials:5} trials  {state.ratio:.3f}  {state.doing}", end="")

    # 1. Tune. Without a budget the tune ends when nothing improves any more.
    state = quake_tvm.tune(
        model_data.sentence_encoder(),
        trials=arguments.trials,
        minutes=arguments.minutes,
        records=arguments.records,
        shapes={name: array.shape for name, array in feeds.items()},
        resume=arguments.resume,
        progress=progress,
    )
    print(f"\r\x1b[K{state}\n")
    if arguments.plot is not None:
        state.plot(arguments.plot)

    # 2. Compile with the records: no tuning, the same bits, and the tuned latency. The report
    #    shows the source of each kernel's schedule.
    compare(arguments.tokens, arguments.records)

    # 3. A length that was never tuned uses the nearest record.
    compare(arguments.tokens + arguments.tokens // 2, arguments.records)


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="to tune for")
    parser.add_argument("--trials", type=int, help="candidates to measure at most")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--records", type=Path, default=Path("records"), help="folder to keep")
    parser.add_argument("--resume", action="store_true", help="go on from an earlier session")
    parser.add_argument("--plot", type=Path, help="draw the tuning curve: .png, .svg, ...")
    arguments = parser.parse_args(argv)
    try:
        run(arguments)
    except (model_data.DataError, quake_tvm.QuakeError) as error:
        return sentence_encoder.fail(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
