"""Options of the tests."""

import os

import pytest

# Relay's downloaded schedules would make every build depend on the net.
os.environ["TOPHUB_LOCATION"] = "NONE"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the tests find now to the golden files",
    )
