"""The programs of docs/relay.md run in order, in one namespace."""

import re
from pathlib import Path

import tvm
from tvm import relay

import quake_tvm

PAGE = Path(__file__).parents[2] / "docs" / "relay.md"


def test_programs() -> None:
    x = relay.var("x", shape=(4, 8))
    names = {
        "quake_tvm": quake_tvm,
        "relay": relay,
        "mod": tvm.IRModule.from_expr(relay.Function([x], relay.nn.softmax(relay.sigmoid(x)))),
        "target": quake_tvm.target("native"),
        "params": {},
    }
    programs = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(programs) > 1
    for program in programs:
        exec(compile(program, str(PAGE), "exec"), names)
