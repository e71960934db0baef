"""A sentence encoder tuned on this machine, and what its records are good for afterwards.

paraphrase-MiniLM-L3-v2 is tuned for some minutes: the kernels that take the most time first, each
candidate compiled, measured, and written down at once. The best become records, small lines of JSON
in a folder. Compiling with this folder needs no tuning any more, and serves other lengths than the
one that was tuned, too. Interrupt it whenever you like (Ctrl-C): what was measured is kept, and
``--resume`` goes on from there.

    python tutorials/tune_model.py --minutes 10 --plot curve.png

The same in the shell, where it has a live view::

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
    """Some words and no padding."""
    words = np.random.default_rng(0).integers(1000, 30000, (1, tokens))
    return {"input_ids": words, "attention_mask": np.ones((1, tokens), np.int64)}


def compare(tokens: int, records: Path) -> float:
    """Tuned over untuned latency: the median of ratios taken side by side."""
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
    """Tune, then compile with what was found."""
    feeds = inputs(arguments.tokens)

    def progress(state: object) -> None:
        print(f"\r\x1b[K{state.trials:5} trials  {state.ratio:.3f}  {state.doing}", end="")

    # 1. Tune. With a budget or without: then it ends when nothing improves any more.
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

    # 2. Compile with the records: no tuning, the same bits, and the latency that was found. The
    #    report says where each kernel's schedule is from.
    compare(arguments.tokens, arguments.records)

    # 3. A length that was never tuned takes the nearest record.
    compare(arguments.tokens + arguments.tokens // 2, arguments.records)


def main(argv: list[str] | None = None) -> int:
    """Parse, run; the exit status."""
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
