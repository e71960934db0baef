"""Packing the weights of a product and scheduling the product use the same key."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax.op import nn

from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.schedules import RULE, schedule
from quake_tvm.schedules.choice import RULE_DEFAULT, Key
from quake_tvm.tvm_version import tir
from tests.helpers import module

ANY = target("x86-64-v3")


def const(*shape):
    return relax.const(np.ones(shape, "float32"))


def conv(kind, weights, **options):
    def formula(x):
        data = {1: "NWC", 2: "NHWC"}[len(weights) - 2]
        around = ("O", "I") if kind in (nn.conv1d, nn.conv2d) else ("I", "O")
        layout = data[1:-1].join(around)
        return kind(x, const(*weights), data_layout=data, kernel_layout=layout, **options)

    return formula


def asked(formula, *shapes):
    """The keys that packing looks up, and those that scheduling looks up."""
    keys = []

    def note(key):
        keys.append(key)
        return RULE_DEFAULT

    with ANY:
        mod = Pipeline(ANY, Options.parse(), note).between("fuse", "fuse")(module(formula, *shapes))
    packing, keys[:] = list(keys), []
    for _, function in mod.functions_items():
        if isinstance(function, tir.PrimFunc):
            before = len(keys)
            if schedule(function, ANY, note).attrs[RULE] != "matmul":
                del keys[before:]
    return packing, keys


def matmul(*shape):
    return lambda x: nn.relu(relax.op.matmul(x, const(*shape)))


CASES = {
    "matmul": (matmul(19, 40), (33, 19), Key("matmul", (33, 40, 19))),
    "batched_input": (matmul(19, 40), (5, 2, 7, 19), Key("matmul", (70, 40, 19))),
    "short_innermost_rows": (matmul(19, 40), (33, 2, 19), Key("matmul", (66, 40, 19))),
    "one_by_one": (
        conv(nn.conv2d, (32, 1, 1, 6)),
        (2, 5, 9, 6),
        Key("matmul", (90, 32, 6)),
    ),
    "window": (
        conv(nn.conv2d, (32, 3, 3, 6), padding=1),
        (2, 5, 9, 6),
        Key("convolution", (90, 32, 54)),
    ),
    "one_by_one_with_strides": (
        conv(nn.conv2d, (32, 1, 1, 6), strides=2),
        (1, 5, 9, 6),
        Key("convolution", (15, 32, 6)),
    ),
    "window_with_strides_and_dilation": (
        conv(nn.conv2d, (32, 3, 2, 6), strides=(2, 1), dilation=(1, 2)),
        (1, 9, 9, 6),
        Key("convolution", (28, 32, 36)),
    ),
    "one_dimension": (
        conv(nn.conv1d, (32, 5, 6)),
        (3, 9, 6),
        Key("convolution", (15, 32, 30)),
    ),
    "groups": (
        conv(nn.conv2d, (32, 3, 3, 6), groups=2),
        (1, 5, 9, 12),
        Key("grouped_convolution", (2, 21, 16, 54)),
    ),
    "transposed": (
        conv(nn.conv2d_transpose, (6, 4, 4, 16), strides=2, padding=1),
        (1, 5, 9, 6),
        Key("grouped_convolution", (4, 45, 16, 24)),
    ),
    "transposed_without_strides": (
        conv(nn.conv2d_transpose, (6, 3, 3, 16), padding=1),
        (1, 5, 9, 6),
        Key("convolution", (45, 16, 54)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_packing_and_scheduling_ask_for_the_same(name):
    formula, shape, key = CASES[name]
    packing, scheduling = asked(formula, shape)
    assert packing == scheduling == [key]


def test_what_only_the_run_knows_is_unknown():
    n = tir.Var("n", "int64")
    packing, scheduling = asked(matmul(19, 40), (n, 7, 19))
    assert packing == scheduling == [Key("matmul", (None, 40, 19))]
    assert not packing[0].known


def test_a_batch_on_both_sides():
    packing, scheduling = asked(relax.op.matmul, (3, 24, 32), (3, 32, 48))
    assert not packing
    assert scheduling == [Key("batched_matmul", (3, 24, 48, 32))]
