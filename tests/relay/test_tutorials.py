"""Relay's tutorial runs without an error."""

import relay_build


def test_relay_build(capsys) -> None:
    relay_build.main()
    printed = capsys.readouterr().out
    for operator in ("quake.silu", "quake.gelu", "quake.softmax"):
        assert operator in printed
    assert "3 lowered" in printed
    assert "no call to expf" in printed
