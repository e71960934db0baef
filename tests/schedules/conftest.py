"""What tests of rules share."""

import math

import pytest


@pytest.fixture
def threads_are_a_choice(monkeypatch):
    """However small a kernel is."""
    from quake_tvm.schedules import analysis

    monkeypatch.setattr(analysis, "NEAR", math.inf)
