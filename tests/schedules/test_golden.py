"""Each rule's result for a kernel, as text: a change of a schedule shows in the diff.

``python -m pytest tests/schedules/test_golden.py --update-golden`` rewrites the files.
"""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from tvm import te, topi

from quake_tvm.kernels import compute, norms
from quake_tvm.kernels.attention import attention
from quake_tvm.kernels.attention_products import Operand
from quake_tvm.kernels.lookup import lookup_ffn
from quake_tvm.kernels.recurrent import recurrent
from quake_tvm.kernels.register_tile import Tile
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_weights import packed_matmul
from quake_tvm.schedules import RULE, RULES, product_tiles, schedule
from tests.processes import python
from tests.schedules.kernels import byte_depthwise, convolution, depthwise, placeholder, winograd

GOLDEN = Path(__file__).parent / "golden"


def gelu(x):
    return compute.elementwise(x, "gelu", "quake1")


def mean(x):
    return topi.divide(topi.sum(x, 1), 21.0)


def packed(rows, columns, name):
    width = product_tiles.panel(rows, columns, target(name))
    a, b = placeholder(rows, 6, name="a"), placeholder(columns, name="b")
    w = placeholder(-(-columns // width), 6, width, name="w")
    return [a, w, b], topi.nn.relu(topi.add(packed_matmul(a, w, columns), b))


def batched(_):
    a, b = placeholder(2, 4, 6, name="a"), placeholder(2, 6, 32, name="b")
    return [a, b], topi.nn.batch_matmul(a, b, transpose_b=False)


def copied(_):
    a, b = placeholder(40, 6, name="a"), placeholder(6, 40, name="b")
    return [a, b], topi.matmul(a, b)


def cut(name):
    """The epilogue stores fewer elements than are computed, in both directions."""
    inputs, y = packed(5, 96, name)
    return inputs, topi.strided_slice(y, [0, 0], [3, 90])


def moved(_):
    """The epilogue stores elements in other places than they are computed for."""
    a, b = placeholder(5, 6, name="a"), placeholder(6, 20, name="b")
    return [a, b], topi.transpose(topi.nn.relu(topi.matmul(a, b)))


def dynamic(_):
    n = te.var("n", dtype="int64")
    a, w = placeholder(n, 6, name="a"), placeholder(1, 6, 16, name="w")
    return [a, w], packed_matmul(a, w, 16)


def convolved(name, groups=1):
    (x, w), y, *_ = convolution((1, 5, 5, 4), 32, 3, groups, name, strides=2, padding=(1, 0))
    return [x, w], topi.nn.relu(y)


def winograd_with_bias(name):
    inputs, y, *_ = winograd((1, 5, 4, 16), 16, name)
    b = placeholder(16, name="b")
    return [*inputs, b], topi.nn.relu(topi.add(y, b))


def depthwise_with_bias(_):
    inputs, y = depthwise((1, 6, 6, 16), 3, padding=(1, 1))
    b = placeholder(16, name="b")
    return [*inputs, b], topi.nn.relu(topi.add(y, b))


def depthwise_of_bytes(name):
    inputs, y, _ = byte_depthwise((1, 6, 6, 16), 3, name, padding=(1, 1))
    return inputs, topi.nn.relu(y)


def over_rows(operator, *shape, **options):
    x = placeholder(*shape)
    return [x], getattr(compute, operator)(x, **options)


def layer_norm(_):
    x, g, b = placeholder(1, 70), placeholder(70, name="g"), placeholder(70, name="b")
    return [x, g, b], norms.layer_norm(x, g, b, epsilon=1e-5)


def one(make, *shape):
    x = placeholder(*shape)
    return [x], make(x)


def broadcast(_):
    x, b = placeholder(3, 21), placeholder(21, name="b")
    return [x, b], gelu(topi.add(x, b))


def attended(_):
    q, k, v = placeholder(1, 2, 1, 16), placeholder(1, 16, 1, 16), placeholder(1, 16, 1, 16)
    heads_last, tile = Operand((0, 2, 1, 3)), Tile(2, 1, 16)
    options = {"operands": (heads_last,) * 4, "tiles": (tile, tile), "method": "quake1"}
    return [q, k, v], attention(q, k, v, **options)


def recurrent_layer(_):
    x, w, h = placeholder(5, 3, 20), placeholder(1, 2, 20, 16, name="w"), placeholder(1, 3, 20)
    options = {"kind": "rnn", "functions": [["tanh", 0, 0, "quake1"]], "reverse": [True]}
    return [x, w, h], recurrent(x, w, h, **options, tile=2, units=16, block=3)


def recurrent_of_bytes(_):
    x, h = placeholder(5, 3, 20), placeholder(1, 3, 20)
    w = te.placeholder((1, 2, 5, 16), "int32", "w")
    factors, totals = placeholder(1, 20, name="f"), te.placeholder((1, 20), "int32", "t")
    options = {"kind": "rnn", "functions": [["tanh", 0, 0, "quake1"]], "reverse": [True]}
    sizes = {"tile": 2, "units": 16, "block": 3, "left": "uint8", "lanes": 16}
    return [x, w, factors, totals, h], recurrent(x, w, factors, totals, h, **options, **sizes)


def looked_up(_):
    z, t, b = placeholder(2, 32), placeholder(64, 16, name="t"), placeholder(16, name="b")
    return [z, t, b], lookup_ffn(z, t, b, bits=2, method="quake1", ahead=2)


def channels_first(_):
    x, w = placeholder(1, 2, 5, 21), placeholder(3, 2, 3, 3, name="w")
    return [x, w], topi.nn.relu(topi.nn.conv2d(x, w, 1, 0, 1, "NCHW"))


# Name of the file: (target, rule, kernel).
CASES = {
    "matmul_packed": ("x86-64-v4", "matmul", lambda name: packed(5, 96, name)),
    "matmul_packed_v3": ("x86-64-v3", "matmul", lambda name: packed(5, 96, name)),
    "matmul_packed_aarch64": ("aarch64", "matmul", lambda name: packed(5, 96, name)),
    "matmul_odd_width": ("x86-64-v4", "matmul", lambda name: packed(3, 33, name)),
    "matmul_batched": ("x86-64-v4", "matmul", batched),
    "matmul_copied": ("x86-64-v4", "matmul", copied),
    "matmul_cut": ("x86-64-v4", "matmul", cut),
    "matmul_moved": ("x86-64-v4", "matmul", moved),
    "matmul_dynamic_rows": ("x86-64-v4", "matmul", dynamic),
    "convolution": ("x86-64-v4", "matmul", convolved),
    "convolution_of_groups": ("x86-64-v4", "matmul", lambda name: convolved(name, 2)),
    "winograd": ("x86-64-v4", "winograd", winograd_with_bias),
    "depthwise": ("x86-64-v4", "depthwise", depthwise_with_bias),
    "depthwise_v3": ("x86-64-v3", "depthwise", depthwise_with_bias),
    "depthwise_of_bytes": ("neoverse-n1", "depthwise", depthwise_of_bytes),
    "softmax_128": (
        "x86-64-v4",
        "rows",
        lambda _: over_rows("softmax", 1, 128, method="quake1"),
    ),
    "softmax_128_aarch64": (
        "aarch64",
        "rows",
        lambda _: over_rows("softmax", 1, 128, method="quake1"),
    ),
    "softmax_197": (
        "x86-64-v4",
        "rows",
        lambda _: over_rows("softmax", 2, 197, method="quake1"),
    ),
    "layer_norm": ("x86-64-v4", "rows", layer_norm),
    "attention": ("x86-64-v4", "attention", attended),
    "recurrent": ("x86-64-v4", "recurrent", recurrent_layer),
    "recurrent_of_bytes": ("x86-64-v4", "recurrent", recurrent_of_bytes),
    "lookup": ("x86-64-v4", "lookup", looked_up),
    "exact_softmax": ("x86-64-v4", "exact_softmax", lambda _: one(topi.nn.softmax, 3, 40)),
    "elementwise_flat": ("x86-64-v4", "elementwise", lambda _: one(gelu, 3, 50)),
    "elementwise_flat_a53": (
        "cortex-a53",
        "elementwise",
        lambda _: one(gelu, 3, 50),
    ),
    "elementwise_broadcast": ("x86-64-v4", "elementwise", broadcast),
    "elementwise_transpose": ("x86-64-v4", "elementwise", lambda _: one(topi.transpose, 33, 5)),
    "reduction": ("x86-64-v4", "reduction", lambda _: one(mean, 32, 21)),
    "pooling": (
        "x86-64-v4",
        "pooling",
        lambda _: one(
            lambda x: topi.nn.pool2d(x, [3, 3], [2, 2], [1, 1], [1, 1, 1, 1], "max", layout="NHWC"),
            *(1, 7, 7, 20),
        ),
    ),
    "pooling_v3": ("x86-64-v3", "pooling", lambda _: one(lambda x: topi.sum(x, 1), 2, 9, 40)),
    "fallback": ("x86-64-v4", "fallback", channels_first),
}


def script(name):
    kind, rule, kernel = CASES[name]
    inputs, output = kernel(kind)
    outputs = output if isinstance(output, list) else [output]
    function = schedule(te.create_prim_func([*inputs, *outputs]), target(kind))
    assert function.attrs[RULE] == rule
    return function.script() + "\n"


@pytest.mark.parametrize("name", CASES)
def test_script(name, request):
    path, found = GOLDEN / f"{name}.txt", script(name)
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    if not path.exists():
        pytest.fail(f"{path} is missing: run pytest with --update-golden to write it")
    assert found == path.read_text(), "if this is meant, run pytest with --update-golden"


def test_every_rule_has_a_file_and_every_file_a_test():
    # The attention kernel is generated without a schedule and has thousands of lines.
    seen = {rule for _, rule, _ in CASES.values()} | {"attention"}
    assert seen == {rule.name for rule in RULES}
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def hash_of_scripts():
    return hashlib.sha256("".join(map(script, CASES)).encode()).hexdigest()


@pytest.mark.slow
def test_scripts_do_not_depend_on_the_run():
    command = "from tests.schedules.test_golden import hash_of_scripts; print(hash_of_scripts())"
    results = {hash_of_scripts()}
    for seed in ("1", "2"):
        done = subprocess.run(
            python(command),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        results.add(done.stdout.splitlines()[-1])
    assert len(results) == 1


@pytest.mark.parametrize("name", ["softmax_128", "softmax_197", "layer_norm"])
def test_rows_are_alike_but_for_instructions(name, monkeypatch):
    scripts = set()
    for kind in ("x86-64-v2", "x86-64-v3", "x86-64-v4", "riscv64"):
        monkeypatch.setitem(CASES, name, (kind, *CASES[name][1:]))
        scripts.add(script(name))
    assert len(scripts) == 1
