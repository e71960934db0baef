"""QuAKE inside ``relay.build``: the pass, the context, three executors, and a board.

A small network with a SiLU, a GELU and a softmax is built for this machine in each way that Relay
has, compared with its exact build, and cross-compiled for a Raspberry Pi. At the end two
nonlinearities are timed in turn with TVM's own. This script needs the TVM that has Relay
(``make test-relay`` sets it up; docs/relay.md describes both TVMs).
"""

import os

os.environ.setdefault("TOPHUB_LOCATION", "NONE")  # do not download schedules

import numpy as np
import tvm
from tvm import relay
from tvm.contrib import graph_executor

import quake_tvm

METHOD = "quake3"
IMAGE = (1, 3, 32, 32)


def network() -> tvm.IRModule:
    """softmax(dense(gelu(dense(silu(conv2d(x)))))), in a form that TVM's frontends write."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> relay.Constant:
        deviation = np.prod(shape[1:]) ** -0.5
        return relay.const(rng.normal(0, deviation, shape).astype("float32"))

    x = relay.var("x", shape=IMAGE)
    convolved = relay.nn.conv2d(
        x, weights(16, 3, 3, 3), channels=16, kernel_size=(3, 3), strides=(2, 2), padding=(1, 1)
    )
    activated = convolved * relay.sigmoid(convolved)  # SiLU
    hidden = relay.nn.dense(relay.nn.batch_flatten(activated), weights(128, 16 * 16 * 16))
    half, one, root = (relay.const(v, "float32") for v in (0.5, 1.0, 2**0.5))
    gelu = hidden * half * (one + relay.erf(hidden / root))  # GELU as ONNX exporters write it
    logits = relay.nn.dense(gelu, weights(10, 128))
    return tvm.IRModule.from_expr(relay.Function([x], relay.nn.softmax(logits)))


def run(lib: object, x: np.ndarray) -> np.ndarray:
    """One call of the graph executor."""
    machine = graph_executor.GraphModule(lib["default"](tvm.cpu()))
    machine.set_input("x", x)
    machine.run()
    return machine.get_output(0).numpy()


def build(mod: tvm.IRModule, target: tvm.target.Target, **context: object) -> object:
    """``relay.build`` in TVM's own PassContext."""
    with tvm.transform.PassContext(**context):
        return relay.build(mod, target)


def main() -> None:
    """Build in every way, compare, cross-compile, and print the results."""
    mod, target = network(), quake_tvm.target("native")
    x = np.random.default_rng(1).standard_normal(IMAGE, dtype=np.float32)
    exact = run(build(mod, target, opt_level=3), x)

    # 1. The pass alone: module in, module out. Each nonlinearity becomes one operator, which TVM's
    #    other passes fuse, lay out and schedule like TVM's own. Tuners take this module.
    lowered = quake_tvm.QuAKE(method=METHOD)(mod)
    print("\n".join(line for line in str(lowered).splitlines() if "quake." in line), "\n")
    by_pass = run(build(lowered, target, opt_level=3), x)

    # 2. The pass inside relay.build. The context takes all options of TVM's own PassContext, and
    #    reports on each nonlinearity: its form, its rung, its proven bound, and its kernel.
    with quake_tvm.PassContext(opt_level=3, method=METHOD) as context:
        lib = relay.build(mod, target)
    print(context.report, "\n")
    by_context = run(lib, x)

    # 3. Relay's other executors, in the same way.
    with quake_tvm.PassContext(opt_level=3, method=METHOD):
        machine = relay.create_executor("vm", mod, tvm.cpu(), target).evaluate()
    by_vm = machine(x).numpy()

    # The proven error is that of each operator. To first order, the errors of a network's sites
    # add.
    bounds = [quake_tvm.bound(name, METHOD).relative for name in ("softmax", "gelu", "silu")]
    for name, found in {"pass": by_pass, "context": by_context, "vm": by_vm}.items():
        error = np.max(np.abs(found - exact) / exact)
        print(f"{name:8}largest relative difference to the exact build {error:.2g}")
        assert error <= sum(bounds)

    #    (lib.export_library("net.so", fcompile=...)); here the assembly shows the instructions.
    #    (lib.export_library("net.so", fcompile=...)); here the assembly is printed.
    with quake_tvm.PassContext(opt_level=3, method=METHOD):
        board = relay.build(mod, quake_tvm.target("raspberry-pi-4"))
    assembly = board.get_lib().get_source("asm")
    print(f"\nRaspberry Pi 4: {assembly.count('fmla')} fused multiply-adds on vectors,", end=" ")
    print("no call to expf" if "expf" not in assembly else "calls expf")

    # 5. The saving: two nonlinearities in a row, timed in one run with TVM's exact and fast ones.
    x = relay.var("x", shape=(64, 1024))
    two = tvm.IRModule.from_expr(relay.Function([x], relay.nn.softmax(relay.sigmoid(x))))
    libraries = {
        "exact": build(two, target, opt_level=3),
        "FastMath": build(two, target, opt_level=4),
    }
    with quake_tvm.PassContext(opt_level=3, method="quake2"):
        libraries["quake2"] = relay.build(two, target)
    machines = {
        k: graph_executor.GraphModule(v["default"](tvm.cpu())) for k, v in libraries.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in machines}
    for _ in range(7):  # in turn, so that other load on this machine affects all alike
        for name, machine in machines.items():
            seconds[name] += machine.benchmark(tvm.cpu(), number=20, repeat=1).results
    base = np.median(seconds["quake2"])
    print("\nsoftmax(sigmoid(x)), 64 x 1024:", end=" ")
    print(
        ", ".join(f"{k} {np.median(v) / base:.1f}" for k, v in seconds.items()), "of quake2's time"
    )


if __name__ == "__main__":
    main()
