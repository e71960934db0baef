"""Attributes of sites are written to calls and read back, without attributes that are not set."""

import pytest

from quake_tvm.passes.site_attrs import SiteAttrs

SITES = [
    SiteAttrs("quake2", True, "exp", "2x3"),
    SiteAttrs("quake3", False, "silu", "nx4", 7, numbers={"beta": 1.5}),
    SiteAttrs("quake1", True, "nn.softmax", "2x3", 1, 1, numbers={"scale": 0.5}),
    SiteAttrs("quake5", True, "exp+sum+log", axis=0, keepdims=False),
]


@pytest.mark.parametrize("site", SITES, ids=lambda s: s.source)
def test_there_and_back(site):
    assert SiteAttrs.from_attrs(site.to_attrs()) == site


def test_what_is_not_there_is_left_out():
    assert SITES[0].to_attrs() == {
        "method": "quake2",
        "ieee": True,
        "source": "exp",
        "shape": "2x3",
    }
    assert "site" not in SITES[0].mark("exp")
    assert SITES[1].mark("silu")["site"] == 7


def test_options_are_the_kernels():
    assert SITES[2].options() == {"scale": 0.5, "method": "quake1", "ieee": True}
    assert SITES[3].options() == {"method": "quake5", "ieee": True, "keepdims": False}
