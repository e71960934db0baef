"""SmolLM2-135M answers a prompt token by token, beside PyTorch and on every rung.

    python tutorials/generate_text.py                     # downloads 93 MB
    python tutorials/generate_text.py --rungs             # also perplexity, and tokens that agree
    python tutorials/generate_text.py --small             # a small random model instead

The model keeps its keys and values in a state, ``model.session()``: each step takes one token and
reads every weight once. Sampling is greedy here, or with ``--temperature``.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import model_data
from sentence_encoder import fail

RUNGS = ("exact", "quake1", "quake2", "quake3", "quake4", "quake5")
PROMPT = "The capital of France is"
# Tokens to their logits, of the last token only.
Step = Callable[[np.ndarray], np.ndarray]


def generate(
    step: Step, prompt: list[int], count: int, choose: Callable[[np.ndarray], int]
) -> Iterator[int]:
    """Tokens that follow the prompt, each as soon as it is known."""
    new = prompt
    for _ in range(count):
        token = choose(step(np.array([new]))[0, -1])
        yield token
        new = [token]


def sampled(temperature: float) -> Callable[[np.ndarray], int]:
    """How a token is chosen by its logits: the likeliest one at temperature 0."""
    random = np.random.default_rng(0)

    def choose(logits: np.ndarray) -> int:
        if not temperature:
            return int(logits.argmax())
        weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
        return int(random.choice(len(weights), p=weights / weights.sum()))

    return choose


def perplexity(logits: np.ndarray, tokens: np.ndarray) -> float:
    """exp of the mean loss of each next token."""
    logits = logits[:-1].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), tokens[1:]]
    return float(np.exp(losses.mean()))


def write_rungs(page: Path, heading: str, rows: list[str]) -> None:
    """Write the table of rungs into its section of the page."""
    from quake_tvm.support.generated_page import write_section

    head = f"| rung | tokens that are PyTorch's | {heading} |\n|---|---|---|"
    write_section(page, "rungs", "\n".join([head, *rows]))


def run(arguments: argparse.Namespace) -> None:
    """Print the answer, the speed, and with ``--rungs`` what each rung changes."""
    import torch

    import cached_llama
    import llama
    import quake_tvm

    torch.set_num_threads(arguments.threads)
    if arguments.small:
        sizes = llama.Sizes(layers=2, width=64, inner=128, heads=4, pairs=2, vocabulary=96)
        model, tokenizer = llama.random(sizes, seed=0, growth=1.0), None
        prompt = [3, 1, 4, 1, 5]
        text = np.random.default_rng(1).integers(96, size=24)
    else:
        model, tokenizer = llama.read(model_data.language_model())
        prompt = tokenizer.encode(arguments.prompt).ids
        news = model_data.lee_background().read_text(encoding="latin-1")
        text = np.array(tokenizer.encode(news).ids[: arguments.tokens])
    windows = [text[k : k + arguments.window] for k in range(0, len(text), arguments.window)]
    capacity = max(len(prompt) + arguments.count, arguments.window if arguments.rungs else 0)
    choose = sampled(arguments.temperature)

    def spoken(step: Step, show: bool) -> tuple[list[int], float]:
        """The tokens, and the seconds of each step after the first, which takes the prompt."""
        found, times = [], []
        for token in generate(step, prompt, arguments.count, choose):
            times.append(time.perf_counter())
            found.append(token)
            if show:
                word = f"{token} " if tokenizer is None else tokenizer.decode([token])
                print(word, end="", flush=True)
        if show:
            print()
        return found, float(np.median(np.diff(times)))

    with torch.no_grad():
        eager = cached_llama.CachedLlama(model, capacity)
        expected, seconds = spoken(lambda ids: eager(torch.from_numpy(ids)).numpy(), False)
        print(f"PyTorch: {1 / seconds:.1f} tokens/s")
        methods, rows = RUNGS if arguments.rungs else (arguments.method,), []
        weights = sum(b.numel() * b.element_size() for b in model.buffers())
        # Perplexity needs the logits of all tokens. A step has those of its one token anyway.
        program = cached_llama.exported(
            cached_llama.CachedLlama(model, capacity, every=arguments.rungs)
        )
        for method in methods:
            compiled = quake_tvm.compile(program, method=method)
            session = compiled.session()
            found, seconds = spoken(lambda ids: session.run(ids)[0], method == methods[0])  # noqa: B023
            agree = next(
                (k for k, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b),
                len(expected),
            )
            print(
                f"{method}: {1 / seconds:.1f} tokens/s, {weights / seconds / 1e9:.1f} GB/s of "
                f"weights; the first {agree} of {len(expected)} tokens are PyTorch's"
            )
            if arguments.rungs:
                logs = [
                    (np.log(perplexity(compiled.run(w[None])[0][0], w)), len(w) - 1)
                    for w in windows
                    if len(w) > 1
                ]
                mean = sum(log * n for log, n in logs) / sum(n for _, n in logs)
                print(f"{method}: perplexity {np.exp(mean):.4f} on {len(text)} tokens", flush=True)
                rows.append(f"| {method} | {agree} of {len(expected)} | {np.exp(mean):.4f} |")
                if arguments.page:
                    heading = f"perplexity on {len(text)} tokens, {arguments.window} at once"
                    write_rungs(arguments.page, heading, rows)


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    import quake_tvm

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--method", default="quake4", choices=RUNGS)
    parser.add_argument("--count", type=int, default=60, help="tokens to generate")
    parser.add_argument("--temperature", type=float, default=0.0, help="0: the likeliest token")
    parser.add_argument("--rungs", action="store_true", help="every rung, and perplexities")
    parser.add_argument("--tokens", type=int, default=20_000, help="of the text for perplexity")
    parser.add_argument("--window", type=int, default=512, help="tokens that see each other there")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--page", type=Path, help="a page whose table of rungs is to be written")
    parser.add_argument("--small", action="store_true", help="a small random model")
    arguments = parser.parse_args(argv)
    if not arguments.temperature >= 0:  # NaN too
        return fail(f"temperature is {arguments.temperature:g}: give 0 or more")
    if not arguments.prompt:
        return fail("prompt is empty: give some text")
    if arguments.page and not arguments.rungs:
        return fail(f"page is {arguments.page}, which --rungs writes: give both")
    least = {"count": 2, "tokens": 2, "window": 2, "threads": 1}
    for name, n in least.items():
        if getattr(arguments, name) < n:
            return fail(f"{name} is {getattr(arguments, name)}: give {n} or more")
    try:
        run(arguments)
    except (model_data.DataError, quake_tvm.QuakeError) as error:
        return fail(str(error))
    except ImportError as error:
        return fail(f"{error}: pip install 'quake-tvm[tasks]'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
