"""Two services with one database, swapped at the same time: who leaves last gives it back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from devswap import swap
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences

SERVICES = ("heat-engine", "heat-api")
SWAPPED = [("migrates", "migrates"), ("migrates", "further"), ("plain", "migrates"), ("plain", "plain")]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    for name, revisions in (("plain", ("a1",)), ("migrates", ("a1", "b2")), ("further", ("a1", "b2", "c3"))):
        found.checkout(name, revisions=revisions)
    with no_waiting(monkeypatch):
        yield found


def revision(cloud: SimulatedCloud) -> str:
    return cloud.schema(images.ACCOUNT).column("alembic_version")[0]


@pytest.mark.parametrize("order", list(permutations(SERVICES)))
@pytest.mark.parametrize("refs", SWAPPED)
def test_what_one_needs_stays_until_it_leaves(
    cloud: SimulatedCloud, refs: tuple[str, str], order: tuple[str, str]
) -> None:
    whole = cloud.take()
    for service, ref in zip(SERVICES, refs, strict=True):
        swap.checkout(cloud.host(), Wish(service, ref, None, None, detach=True), cloud.makers)
    migrated = revision(cloud)
    left = dict(zip(SERVICES, refs, strict=True))
    for service in order:
        (journal,) = [one for one in cloud.host().journals.all() if one.swap.service == service]
        restored = swap.restore(cloud.host(), journal)
        del left[service]
        needed = any(ref != "plain" for ref in left.values())
        assert revision(cloud) == (migrated if needed else "a1")
        assert bool(restored.held) == needed
    assert differences(cloud, whole) == []
