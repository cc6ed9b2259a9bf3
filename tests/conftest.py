"""Options of the suite; pytest reads them here before it collects."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("devswap")
    group.addoption("--strikes", type=int, default=6, metavar="N", help="how often a real swap is killed")
    group.addoption("--era", action="append", metavar="ERA", help="only on this sandbox: current or 2015; repeatable")
    group.addoption("--keep-sandbox", action="store_true", help="leave a sandbox that this run has built")
