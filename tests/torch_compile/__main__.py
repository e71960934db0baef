"""Measures the models and writes the page.

python -m tests.torch_compile [--rounds N] [--no-page] [model ...]
"""

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.update(TVM_NUM_THREADS="1")  # read when TVM starts

import torch
import torch._inductor.config as inductor

from quake_tvm.options import DEFAULT_METHOD

from .models import MODELS
from .page import Row, write

CONTENDERS = ("eager", "inductor", "quake_tvm")


def _leaves(result: Any) -> list[torch.Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


def _difference(found: Any, exact: Any) -> float:
    """The largest difference of an element, relative to the output's largest."""
    pairs = zip(_leaves(found), _leaves(exact), strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def _milliseconds(call: Callable[[], Any], number: int) -> float:
    start = time.process_time()
    for _ in range(number):
        call()
    return (time.process_time() - start) / number * 1e3


def _cpu_seconds() -> float:
    """CPU time of this process and of the compilers that it started."""
    return sum(os.times()[:4])


def measure(name: str, rounds: int) -> Row:
    """Time one model: CPU time on one thread, minima of rounds in which all take turns."""
    torch.manual_seed(0)
    # Outside inference mode, as users make modules: torch counts no writes into weights made in it.
    model, inputs = MODELS[name]()
    model.eval()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.filterwarnings("error", "quake_tvm leaves")
        return _measured(name, model, inputs, rounds)


def _measured(
    name: str, model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], rounds: int
) -> Row:
    calls, results, compiling = {}, {}, {}
    for contender in CONTENDERS:
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        options = {"options": {"method": DEFAULT_METHOD}} if contender == "quake_tvm" else {}
        compiled = model if contender == "eager" else torch.compile(
            model, backend=contender, **options
        )  # fmt: skip
        start = _cpu_seconds()
        results[contender] = compiled(*inputs)
        compiling[contender] = _cpu_seconds() - start
        calls[contender] = lambda compiled=compiled: compiled(*inputs)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]  # of the last contender
    number = max(1, int(20 / max(_milliseconds(calls["eager"], 3), 1e-3)))
    times = {contender: float("inf") for contender in CONTENDERS}
    for _ in range(rounds):
        for contender in CONTENDERS:
            times[contender] = min(times[contender], _milliseconds(calls[contender], number))
    return Row(
        name,
        graphs,
        *(times[contender] for contender in CONTENDERS),
        compiling["inductor"],
        compiling["quake_tvm"],
        *(_difference(results[c], results["eager"]) for c in ("inductor", "quake_tvm")),
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help=f"of: {'; '.join(MODELS)}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-page", action="store_true", help="only print")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch._dynamo.config.allow_rnn = True
    # Compile everything, and in this process or its children, whose time can be read.
    inductor.force_disable_caches, inductor.compile_threads = True, 1
    with torch.inference_mode():  # what the first compilation of a process does once
        for backend in CONTENDERS[1:]:
            torch.compile(torch.nn.GELU(), backend=backend)(torch.ones(8))
    rows = []
    for name in options.models or MODELS:
        rows.append(measure(name, options.rounds))
        print(rows[-1].markdown(), flush=True)
    if not options.no_page:
        facts = (
            f"torch {torch.__version__}, {platform.machine()}, Python {platform.python_version()}"
        )
        write(rows, f"{facts}; rung {DEFAULT_METHOD}, {options.rounds} rounds")


if __name__ == "__main__":
    main()
