"""The cloud of these tests has a nova."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.unit.nova.novas import with_nova


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    with no_waiting(monkeypatch):
        yield with_nova(tmp_path)
