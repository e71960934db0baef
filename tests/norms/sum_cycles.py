"""``python -m tests.norms.sum_cycles``: cycles of an rms_norm of float16 rows on ARM, by llvm-mca.

The kernel is unrolled. Its squares are summed in float32 after a conversion (``fcvtl``), in float32
by instructions that widen (``fmlal``, where the CPU has them), or in float16. Its results are
computed in float32 or in float16. Printed are the cycles of many rows one after another, as LLVM's
model of the CPU has them, for the best number of accumulators.
"""

import json
import re
import subprocess

import tvm
from tvm import te

from quake_tvm.kernels import rows
from quake_tvm.tvm_version import Expr, Stmt, alloc, fma, tir

LENGTH, VECTOR = 576, 8
ACCUMULATORS = (1, 2, 4, 8)
VARIANTS = [("float32", "float32"), ("float32", "float16"), ("fmlal", "float16"), ("float16",) * 2]
# The CPUs, and LLVM's model of each.
CPUS = {"cortex-a76": "neoverse-n1", "neoverse-n1": "neoverse-n1", "neoverse-v1": "neoverse-v1"}
WIDENING = {"neoverse-v1"}


def kernel(sums: str, results: str, accumulators: int) -> tvm.IRModule:
    """The unrolled norm of one row."""
    x, gamma = (te.placeholder((LENGTH,), "float16", name) for name in ("x", "gamma"))

    def program(inputs: list[tir.Buffer], outputs: list[tir.Buffer]) -> Stmt:
        return rows.sequence(*_norm(*inputs, *outputs, sums, results, accumulators))

    y = te.extern([(LENGTH,)], [x, gamma], program, name="norm", dtype="float16")
    function = te.create_prim_func([x, gamma, y]).with_attr("global_symbol", "norm")
    return tvm.IRModule({"norm": function.with_attr("tirx.noalias", True)})


def _norm(
    x: tir.Buffer, gamma: tir.Buffer, y: tir.Buffer, sums: str, results: str, accumulators: int
) -> list[Stmt]:
    dtype = "float16" if sums == "float16" else "float32"
    parts = [rows.local(VECTOR, dtype) for _ in range(accumulators)]
    total, factor = rows.local(VECTOR), rows.local(1)
    steps = [alloc(buffer) for buffer in (*parts, total, factor)]
    steps += [_each(part, lambda _: tir.const(0, dtype)) for part in parts]
    for start in range(0, LENGTH, VECTOR):
        part = parts[start // VECTOR % accumulators]
        if sums == "fmlal":
            steps += _widening(x, part, start)
        else:
            steps.append(_each(part, lambda k, s=start, p=part: _added(x[s + k], p[k], dtype)))
    while len(parts) > 1:
        half = len(parts) // 2
        for a, b in zip(parts[:half], parts[half:], strict=True):
            steps.append(_each(a, lambda k, a=a, b=b: a[k] + b[k]))
        parts = parts[:half]
    steps.append(_each(total, lambda k: tir.Cast("float32", parts[0][k])))
    width = VECTOR
    while width > 1:
        width //= 2
        steps.append(_each(total, lambda k, w=width: total[k] + total[k + w], width))
    mean = total[0] / tir.const(LENGTH, "float32") + tir.const(1e-6, "float32")
    steps.append(tir.BufferStore(factor, tir.const(1, "float32") / tir.sqrt(mean), [0]))
    for start in range(0, LENGTH, VECTOR):

        def result(k: tir.Var, s: int = start) -> Expr:
            value = tir.Cast(results, x[s + k]) * tir.Cast(results, factor[0])
            return tir.Cast("float16", value * tir.Cast(results, gamma[s + k]))

        steps.append(_each(y, result, at=start))
    return steps


def _each(buffer: tir.Buffer, value: object, width: int = VECTOR, at: int = 0) -> Stmt:
    """Store the values of a vector."""
    return rows.loop(
        width,
        lambda k: tir.BufferStore(buffer, value(k), [at + k]),
        tir.ForKind.SERIAL if width == 1 else tir.ForKind.VECTORIZED,
    )


def _added(x: Expr, total: Expr, dtype: str) -> Expr:
    wide = tir.Cast(dtype, x)
    if dtype == "float32":
        return fma(wide, wide, total)
    return tir.call_intrin(dtype, "tirx.fma", wide, wide, total)


def _widening(x: tir.Buffer, part: tir.Buffer, start: int) -> list[Stmt]:
    """Add the squares of four halves, and of the other four, in float32."""
    whole = x[tir.Ramp(start, 1, VECTOR)]
    steps = []
    for at, name in ((0, "fmlal"), (4, "fmlal2")):
        place = tir.Ramp(at, 1, 4)
        intrinsic = f"llvm.aarch64.neon.{name}.v4f32.v8f16"
        added = tir.call_llvm_pure_intrin("float32x4", intrinsic, part[place], whole, whole)
        steps.append(tir.BufferStore(part, added, [place]))
    return steps


def cycles(mod: tvm.IRModule, cpu: str) -> float:
    """Of a row."""
    features = ["+fullfp16", *(["+fp16fml"] if cpu in WIDENING else [])]
    triple = "aarch64-linux-gnu"
    options = {"kind": "llvm", "mtriple": triple, "mcpu": cpu, "mattr": features}
    target = tvm.target.Target(options)
    assembly = tvm.tirx.build(mod, target).inspect_source("asm")
    body = assembly[assembly.index("\nnorm_compute_:") : assembly.index(".size\tnorm_compute_")]
    lines = [line.split("//")[0] for line in body.splitlines()[2:] if re.match(r"\t[a-z]", line)]
    straight = [line for line in lines if not re.match(r"\t(b|bl|cb|tb|ret)", line)]
    command = ["llvm-mca-19", f"-mtriple={triple}", f"-mcpu={CPUS[cpu]}", "-mattr=+all"]
    done = subprocess.run(
        [*command, "-iterations=100", "-json"],
        input="\n".join(straight),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)["CodeRegions"][0]["SummaryView"]["TotalCycles"] / 100


def main() -> None:
    """Print the table."""
    print(f"| sums, results | {' | '.join(CPUS)} |")
    print("|---|" + "---|" * len(CPUS))
    for sums, results in VARIANTS:
        cells = []
        for cpu in CPUS:
            if sums == "fmlal" and cpu not in WIDENING:
                cells.append("")
                continue
            each = (cycles(kernel(sums, results, n), cpu) for n in ACCUMULATORS)
            cells.append(f"{min(each):.0f}")
        print(f"| {sums}, {results} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
