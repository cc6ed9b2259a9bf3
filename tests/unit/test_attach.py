"""Whose terminal is attached to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import swap
from devswap.errors import DevswapError
from devswap.wish import Wish
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.person import Person

SERVICE = "heat-engine"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.checkout("plain")
    with no_waiting(monkeypatch):
        swap.checkout(found.host(), Wish(SERVICE, "plain", None, None, detach=True), found.makers)
        yield found


def test_another_users_terminal_is_theirs_unless_that_is_typed(cloud: SimulatedCloud, person: Person) -> None:
    (journal,) = cloud.host().journals.all()
    theirs = journal.swap.owner
    journal.describe(owner=type(theirs)("ben", theirs.uid + 1, theirs.host, "pts/9", theirs.pid))
    told = person.is_told("attach", SERVICE, code=1)
    assert told.message.startswith(f"{SERVICE} is swapped by ben on pts/9 since ")
    assert told.hint == "ask them, or say --take-over"
    with pytest.raises(DevswapError, match="has no terminal to come back to"):
        person.types(f"devswap attach {SERVICE} --take-over")
