"""The error of recurrent layers over 512 steps, in published networks with real inputs.

    python tutorials/long_recurrences.py ["Silero VAD" ...] [--page PAGE.md]

Each network is compiled on every rung and exact. The tables have the largest difference of any
element of its recurrent layers' states from those of the exact build, and what the network's
answers lose. With ``--page docs/accuracy/recurrent.md`` they are written to that page.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from long_recurrence_models import NETWORKS, STEPS, Network

LAYERS = ("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM")
RUNGS = ("quake1", "quake2", "quake3", "quake4", "quake5")
States = Sequence[np.ndarray]


def with_states(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """The model with the states of all steps of its recurrent layers as last outputs, and how many.

    The states are float32 (step, direction, row, unit).
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    names = [node.output[0] for node in model.graph.node if node.op_type in LAYERS]
    for name in names:
        shape = [None] * 4
        found.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        )
    return found, len(names)


def largest(states: States, exact: States) -> tuple[float, float]:
    """The largest difference at any step, and at the last one of each direction."""
    apart = [np.abs(a - b).max(axis=(2, 3)) for a, b in zip(states, exact, strict=True)]
    ends = [max(each[-1, 0], each[0, -1] if each.shape[1] == 2 else 0.0) for each in apart]
    return max(float(each.max()) for each in apart), float(max(ends))


def cells(network: Network) -> tuple[list[str], list[str]]:
    """For each rung, the differences of the states and the loss of the answers."""
    import quake_tvm

    model, count = with_states(onnx.load(network.path()))
    feeds = network.feeds()
    shapes = {name: array.shape for name, array in feeds.items()}

    def run(method: str) -> tuple[np.ndarray, States]:
        outputs = quake_tvm.compile(model, method=method, shapes=shapes).run(feeds)
        return outputs[0], outputs[-count:]

    answer, exact = run("exact")
    apart, lost = [], []
    for rung in RUNGS:
        found, states = run(rung)
        apart.append("{:.1e} ({:.1e})".format(*largest(states, exact)))
        lost.append(network.loss(found, answer))
    return apart, lost


def table(rows: Mapping[str, Sequence[str]], *columns: str) -> str:
    """A Markdown table of these rows."""
    head = [f"| network | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    return "\n".join([*head, *(f"| {name} | {' | '.join(row)} |" for name, row in rows.items())])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command-line program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--page", type=Path, help="the page whose section is to be written")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.networks if name not in NETWORKS]:
        parser.error(f"no network {unknown[0]!r}; there are {', '.join(NETWORKS)}")
    found = {name: cells(NETWORKS[name]) for name in options.networks or NETWORKS}
    rungs = [f"`{rung}`" for rung in RUNGS]
    text = "\n\n".join(
        [
            f"The largest difference of a state over {STEPS} steps, PLCMOS 506, and at the last:",
            table(
                {name: [NETWORKS[name].layers, *apart] for name, (apart, _) in found.items()},
                "layers",
                *rungs,
            ),
            "What the answers lose:",
            table(
                {name: [NETWORKS[name].measure, *lost] for name, (_, lost) in found.items()},
                "measure",
                *rungs,
            ),
        ]
    )
    print(text)
    if options.page:
        from quake_tvm.support.generated_page import write_section

        write_section(options.page, "long recurrences", text)


if __name__ == "__main__":
    main()
