"""Fixtures that several modules share; one that needs another cloud has its own of that name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.person import Person
from tests.simulated.snapshot import Snapshot
from tests.unit.served import developer, heat, home, server, wire

__all__ = ["developer", "heat", "home", "server", "wire"]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    """With a checkout that needs nothing of the database, and one that migrates it."""
    found = SimulatedCloud(tmp_path)
    for name, revisions in (("plain", ("a1",)), ("migrates", ("a1", "b2"))):
        found.checkout(name, revisions=revisions)
    with no_waiting(monkeypatch):
        yield found


@pytest.fixture
def whole(cloud: SimulatedCloud) -> Snapshot:
    return cloud.take()


@pytest.fixture
def person(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(cloud, monkeypatch)
