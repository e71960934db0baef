"""Standard error shows every message for the user and nothing else."""

import os
import sys
import threading

import numpy as np
import pytest
from onnx import TensorProto, helper
from tvm import relax

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.bench.cases import Case
from quake_tvm.bench.relax_peers import job, tvm_default
from quake_tvm.cli.shell import busy
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.legalize import orderly
from quake_tvm.support.quiet import without_notes
from tests.helpers import module


def test_a_model_that_has_run_is_written_and_read(tmp_path, capfd):
    weights = relax.const(np.ones((8, 8), np.float32))
    model = quake_tvm.compile(module(lambda x: relax.op.matmul(x, weights), (4, 8)))
    model.run(np.zeros((4, 8), np.float32))
    for name in ("one.so", "two.so"):
        loaded = quake_tvm.load(model.export(tmp_path / name))
        loaded.run(np.zeros((4, 8), np.float32))
    assert capfd.readouterr() == ("", "")


def test_a_model_that_cannot_be_imported(capfd):
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (2, 3)) for n in ("x", "y")]
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Reshape", ["t", "x"], ["y"]),  # to a shape that is invalid
    ]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(QuakeError):
        quake_tvm.compile(model)
    assert capfd.readouterr() == ("", "")


def test_a_kernel_of_several_loops(capfd):
    index = relax.const(np.int64([[1]]))
    quake_tvm.compile(module(lambda x, u: relax.op.scatter_nd(x, index, u, "add"), (4, 8), (1, 8)))
    assert capfd.readouterr() == ("", "")


def test_an_operator_that_has_no_kernel(capfd):
    def fail(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        raise QuakeError("why")

    with pytest.raises(QuakeError, match="why"):
        relax.transform.LegalizeOps(orderly({"relax.exp": fail}))(module(relax.op.exp, (4, 8)))
    assert capfd.readouterr() == ("", "")


def test_tvms_default_pipeline_beside_this_library(capfd):
    index = helper.make_tensor("i", TensorProto.INT64, (2,), [1, 0])
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (2, 3)) for n in ("x", "y")]
    gather = helper.make_node("Gather", ["x", "i"], ["y"])
    graph = helper.make_graph([gather], "graph", values[:1], values[1:], [index])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    tvm_default(job(Case("gather", "2x3", model), target("native"), threads=1))
    assert capfd.readouterr() == ("", "")


def test_what_others_print_meanwhile(capfd):
    def work() -> None:
        os.write(2, b"from a library\n")
        print("from Python", file=sys.__stderr__, flush=True)

    with without_notes():
        os.write(2, b"[10:00:00] executable.cc:1: Warning: Scope Saving:global\n")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert capfd.readouterr().err == "from a library\nfrom Python\n"


def test_an_error_inside(capfd):
    def fail() -> None:
        os.write(2, b"before\n")
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"), without_notes():
        fail()
    assert capfd.readouterr().err == "before\n"


def test_progress_is_for_terminals(capfd):
    with busy("compiling"):
        pass
    assert capfd.readouterr().err == ""
