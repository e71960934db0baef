"""The user's options of the pass, on both TVMs."""

import pytest

import quake_tvm

IMPOSSIBLE = [
    {"method": "quake9"},
    {"method": "quake2", "max_error": 1e-3},
    {"max_error": -1.0},
    {"only": ["softmaxx"]},
    {"skip": "softmax"},
    {"only": ["exp"], "skip": ["gelu"]},
    {"special_values": "fast"},
]


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=str)
def test_option_that_cannot_be(options: dict) -> None:
    with pytest.raises(quake_tvm.QuakeError) as error:
        quake_tvm.QuAKE(**options)
    assert "\n" not in str(error.value)
