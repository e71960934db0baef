"""The C runtime: C kernels, and LLVM kernels called from C, are built, run and within their bounds.

The exported model is compiled for each machine and run by a small ``main``.
"""

import re
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import tvm
from tvm import relay

import quake_tvm
from quake_tvm.numerics import reference
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.passes.relay import lower  # noqa: F401
from quake_tvm.passes.relay.ops import call

from . import modules
from .machines import MACHINES, build, compile_c, export, kernels, machine, run
from .modules import c, module

ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]
ROWS = [name for name, row in OPERATORS.items() if not row.elementwise]
# quake1 has another formula than the other rungs.
RUNGS = ["quake1", "quake5"]
SCALARS = {"tir.disable_vectorize": True}


def inputs():
    """Special values, both tails, huge and tiny values, and others to fill vectors."""
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1.2e-38, -1.2e-38]
    large = [s * v for v in (1e-6, 15, 88.7, 88.73, 104, 3e4, 3e38) for s in (-1, 1)]
    between = np.random.default_rng(0).normal(0, 5, 3 * 37 - len(special) - len(large))
    return np.concatenate([special, large, between]).astype(np.float32).reshape(3, 37)


def plain(**config):
    return tvm.transform.PassContext(opt_level=3, config=config)


def within(bound, found, exact):
    return np.abs(found - exact) <= bound.relative * np.abs(exact) + bound.absolute


def of(target, on):
    """The target by its name. For LLVM: this machine's kernels with C as the host."""
    return (f"llvm {MACHINES[on].llvm}", {"host": "c"}) if target == "llvm" else (target, {})


@cache
def exported(make, target, on):
    """A model in Model Library Format. C is the same for all machines."""
    mod, context = make()
    name, host = of(target, on)
    return export(build(mod, name, context, **host), Path(mkdtemp()))


def model(make, target, on):
    return exported(make, target, on if target == "llvm" else None)


@cache
def operators(method):
    """Every element-wise operator applied to one tensor."""

    def make():
        def all_of(x):
            attributes = {"method": method, "ieee": 1, "source": ""}
            calls = [call(n, x, **attributes, **OPERATORS[n].parameters) for n in ELEMENTWISE]
            return relay.Tuple(calls)

        return module(all_of, inputs().shape), plain()

    return make


@cache
def results(method, target, on):
    x = inputs()
    net = model(operators(method), target, on)
    return dict(
        zip(ELEMENTWISE, run(machine(on), net, [x.shape] * len(ELEMENTWISE), x), strict=True)
    )


@pytest.mark.parametrize("on", MACHINES)
@pytest.mark.parametrize("target", ["c", "llvm"])
@pytest.mark.parametrize("method", RUNGS)
def test_elementwise(method, target, on):
    x = inputs()
    for name, found in results(method, target, on).items():
        row = OPERATORS[name]
        with np.errstate(all="ignore"):
            exact = row.reference(reference.NUMPY, np.float64(x), **row.parameters)
        for at, value in row.special.items():
            exact[np.isnan(x) if np.isnan(at) else x == at] = value
        with np.errstate(over="ignore"):
            rounded = np.float32(exact)  # beyond float32's range the correct result is infinite
        ok = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
        finite = np.isfinite(rounded)
        ok[finite] |= within(quake_tvm.bound(name, method), found[finite], exact[finite])
        assert ok.all(), (name, x[~ok], found[~ok])


@pytest.mark.parametrize("on", [name for name in MACHINES if name != "x86-64"])
@pytest.mark.parametrize("method", RUNGS)
def test_c_gives_the_same_bits_everywhere(method, on):
    expected = results(method, "c", "x86-64")
    for name, found in results(method, "c", on).items():
        np.testing.assert_array_equal(found, expected[name], err_msg=name)


@cache
def rows(shape, wrapped):
    """softmax, log_softmax and logsumexp of one tensor, lowered by the pass or in the build."""

    def make():
        def all_of(x):
            logsumexp = relay.log(relay.sum(relay.exp(x), axis=1))
            return relay.Tuple([relay.nn.softmax(x), relay.nn.log_softmax(x), logsumexp])

        mod = module(all_of, shape)
        if wrapped:
            return mod, quake_tvm.PassContext(opt_level=3, method="quake3")
        return quake_tvm.QuAKE(method="quake3")(mod), plain()

    return make


def exact_rows(x):
    x = np.float64(x)
    logsumexp = np.log(np.exp(x - x.max(1, keepdims=True)).sum(1)) + x.max(1)
    log_softmax = x - logsumexp[:, None]
    return [np.exp(log_softmax), log_softmax, logsumexp]


@pytest.mark.parametrize("on", MACHINES)
@pytest.mark.parametrize("target", ["c", "llvm"])
@pytest.mark.parametrize("shape", [(5, 37), (64, 128)], ids=str)
@pytest.mark.parametrize("wrapped", [True, False], ids=["PassContext", "pass"])
def test_rows(wrapped, shape, target, on):
    x = np.random.default_rng(1).normal(0, 4, shape).astype(np.float32)
    found = run(machine(on), model(rows(shape, wrapped), target, on), [shape, shape, shape[:1]], x)
    for name, y, exact in zip(ROWS, found, exact_rows(x), strict=True):
        assert within(quake_tvm.bound(name, "quake3"), y, exact).all(), name


def test_rows_of_special_values():
    x = np.zeros((4, 37), np.float32)
    x[0, 5], x[1, 6], x[2, :], x[3, 7] = np.nan, np.inf, -np.inf, -np.inf
    net = model(rows(x.shape, False), "c", "x86-64")
    softmax, _, logsumexp = run(machine("x86-64"), net, [x.shape, x.shape, (4,)], x)
    assert np.isnan(softmax[:3]).all()
    assert np.isfinite(softmax[3]).all()
    assert np.isnan(logsumexp[0])
    assert logsumexp[1:3].tolist() == [np.inf, -np.inf]


def weights(*shape):
    values = np.random.default_rng(sum(shape)).normal(0, 0.3, shape)
    return relay.const(values.astype(np.float32))


def dense_net(x):
    hidden = relay.nn.bias_add(relay.nn.dense(x, weights(32, 20)), weights(32))
    gelu = hidden * c(0.5) * (c(1) + relay.erf(hidden * c(0.5**0.5)))
    return relay.nn.softmax(relay.nn.dense(gelu, weights(10, 32)))


def conv_net(x):
    x = relay.nn.conv2d(x, weights(8, 3, 3, 3), padding=1, channels=8, kernel_size=(3, 3))
    # The padding reads SiLU's input only inside of the image.
    padded = relay.nn.pad(x * relay.sigmoid(x), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return relay.nn.max_pool2d(padded, (2, 2), strides=(2, 2))


# Shapes of input and output, the nonlinearity that causes the output's error, and how often.
NETS = {
    dense_net: ((5, 20), (5, 10), "gelu", 32),
    conv_net: ((1, 3, 9, 9), (1, 8, 5, 5), "silu", 1),
}
WAYS = {
    "PassContext": lambda mod: (mod, quake_tvm.PassContext(opt_level=3, method="quake5")),
    "pass": lambda mod: (quake_tvm.QuAKE(method="quake5")(mod), plain(**SCALARS)),
}


@cache
def network(net, way):
    return lambda: WAYS[way](module(net, NETS[net][0]))


def net_input(net):
    return np.random.default_rng(2).normal(0, 1, NETS[net][0]).astype(np.float32)


@cache
def by_tvm(net):
    """TVM's own result on this machine."""
    return modules.run(modules.build(module(net, NETS[net][0])), net_input(net))


@pytest.mark.parametrize("on", MACHINES)
@pytest.mark.parametrize(
    ("way", "target"),
    [
        ("PassContext", "c"),
        ("PassContext", "c -keys=arm_cpu,cpu"),
        ("PassContext", "llvm"),
        ("pass", "c"),
    ],
)
@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_network(net, way, target, on):
    _, shape, operator, times = NETS[net]
    (found,) = run(machine(on), model(network(net, way), target, on), [shape], net_input(net))
    error = times * quake_tvm.bound(operator, "quake5").error
    np.testing.assert_allclose(found, by_tvm(net), rtol=error, atol=error)


def test_pass_alone_says_what_tvm_needs_for_c():
    mod, context = quake_tvm.QuAKE()(module(dense_net, (5, 20))), plain()
    with pytest.raises(quake_tvm.QuakeError, match=r"tir\.disable_vectorize"):
        build(mod, "c", context)


def test_other_kernels_are_left_to_tvm():
    lib = build(module(lambda x: relay.nn.relu(x) + c(2), (2, 3)), "c", plain())
    (source,) = [m.get_source() for m in lib.get_lib().imported_modules]
    assert "quake" not in source


CHECKS = ("-fsanitize=undefined,address,float-cast-overflow", "-fno-sanitize-recover=all")


@pytest.mark.parametrize(
    ("make", "x", "shapes"),
    [
        *((operators(method), inputs(), [inputs().shape] * len(ELEMENTWISE)) for method in RUNGS),
        (rows((1, 21), True), inputs()[:1, :21], [(1, 21), (1, 21), (1,)]),
    ],
    ids=[*RUNGS, "rows"],
)
def test_c_is_well_defined(make, x, shapes):
    """No overflow, no conversion or access out of range, strict aliasing."""
    net = model(make, "c", "x86-64")
    run(machine("x86-64"), net, shapes, x, flags=("-Wall", "-Werror=strict-aliasing", *CHECKS))


LIBM = re.compile(r"\b(call|bl|jmp|b)\s+(expf?|exp2f?|erff?|tanhf?|logf?|fmaf?)\b")
FMA = {"x86-64": r"vfn?m\w+ps\s.*%ymm", "aarch64": r"fml[as]\s+v\d+\.4s"}


@pytest.mark.parametrize("on", FMA)
@pytest.mark.parametrize("make", [operators("quake5"), rows((64, 128), True)])
def test_compilers_vectorize_the_c(make, on):
    net = model(make, "c", on)
    for source in kernels(net):
        if "quake_fma" not in source.read_text():
            continue
        compile_c(machine(on), net, [source], "-O3", "-S", "-o", str(net / "net.s"))
        asm = (net / "net.s").read_text()
        assert not LIBM.search(asm)
        assert re.search(FMA[on], asm)
