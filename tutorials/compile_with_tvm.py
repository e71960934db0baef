"""QuAKE inside ``tvm.compile``, in three ways that give the same bits.

A small module with a GELU and a softmax is compiled, first step by step, then with one option of
``tvm.compile``, then with one call. The result is compared with numpy in double precision, and its
error with the bound that is proven for the softmax.
"""

import math

import numpy as np
import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

import quake_tvm

METHOD = "quake3"


# A dense layer with a GELU, followed by a softmax. Any TVM frontend could have made this module.
@I.ir_module
class Classifier:
    """softmax(gelu(x @ weight + bias)) over the last axis."""

    @R.function
    def main(
        x: R.Tensor((128, 64), "float32"),
        weight: R.Tensor((64, 256), "float32"),
        bias: R.Tensor((256,), "float32"),
    ) -> R.Tensor((128, 256), "float32"):
        with R.dataflow():
            projected = R.matmul(x, weight)
            shifted = R.add(projected, bias)
            activated = R.nn.gelu(shifted)
            out = R.nn.softmax(activated, axis=-1)
            R.output(out)
        return out


def expected(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The module's result in double precision."""
    shifted = x.astype(np.float64) @ weight.astype(np.float64) + bias
    activated = shifted / 2 * (1 + np.vectorize(math.erf)(shifted / math.sqrt(2)))
    powers = np.exp(activated - activated.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def run(executable: relax.VMExecutable, *arrays: np.ndarray) -> np.ndarray:
    """One call through TVM's virtual machine."""
    machine = relax.VirtualMachine(executable, tvm.cpu())
    return machine["main"](*map(tvm.runtime.tensor, arrays)).numpy()


def main() -> None:
    """Compile in three ways, compare, and print the results."""
    rng = np.random.default_rng(2)
    x, weight, bias = (
        rng.standard_normal(shape, dtype=np.float32) / 4 for shape in ((128, 64), (64, 256), 256)
    )
    target = quake_tvm.target("native")

    # 1. The pass alone, for users with a pipeline of their own. It takes a module and returns a
    #    module in which the nonlinearities are calls of PrimFuncs. TVM's other passes and its
    #    fusion follow as usual. Here quake_tvm.pipeline runs them. It finds nothing left to
    #    lower, because running the pass twice changes nothing more.
    lowered = quake_tvm.QuAKE(method=METHOD)(Classifier)
    rest = quake_tvm.pipeline(target, method=METHOD)
    by_pass = run(tvm.compile(lowered, target, relax_pipeline=rest), x, weight, bias)

    # 2. The pipeline: the pass, TVM's legalization and fusion, and this library's schedules, as
    #    one argument of TVM's own compile.
    pipeline = quake_tvm.pipeline(target, method=METHOD)
    by_pipeline = run(tvm.compile(Classifier, target, relax_pipeline=pipeline), x, weight, bias)

    # 3. One call: the same, with a model object that runs, measures, exports and reports.
    model = quake_tvm.compile(Classifier, target, method=METHOD)
    (by_compile,) = model.run(x, weight, bias)

    assert np.array_equal(by_pass, by_pipeline)
    assert np.array_equal(by_pass, by_compile)
    print("The three ways agree bit for bit.\n")

    # The report lists each nonlinearity with its bound and the kernel that contains it.
    print(model.report)

    # The proven error is that of each operator, |found - exact| <= relative*|exact| + absolute.
    # Here the softmax also inherits the error of its input: the relative error of a probability
    # is at most the sum of the absolute errors of two exponents. So we add twice the largest
    # error that the GELU's bound allows on these inputs.
    truth = expected(x, weight, bias)
    gelu, softmax = (quake_tvm.bound(name, METHOD) for name in ("gelu", "softmax"))
    largest = np.abs(x.astype(np.float64) @ weight + bias).max()  # |gelu(v)| <= |v|
    inherited = math.expm1(2 * (gelu.relative * largest + gelu.absolute))
    allowed = (1 + softmax.relative) * (1 + inherited) - 1
    error = (np.abs(by_compile - truth) / truth).max()
    print(f"\nlargest relative error {error:.3g}, within the bound of {allowed:.3g}")
    print(f"(softmax alone {softmax.relative:.3g}, inherited from the GELU {inherited:.3g})")
    assert error <= allowed


if __name__ == "__main__":
    main()
