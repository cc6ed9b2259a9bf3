"""Two services with one database, swapped at the same time: who leaves last gives it back."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from devswap import swap
from devswap.errors import DevswapError, NotWhole
from devswap.journal import Journal
from devswap.shared import Record, Shelf
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


def take_over(cloud: SimulatedCloud, service: str, ref: str) -> None:
    swap.checkout(cloud.host(), Wish(service, ref, None, None, detach=True), cloud.makers)


def revision(cloud: SimulatedCloud) -> str:
    return cloud.schema(images.ACCOUNT).column("alembic_version")[0]


@pytest.mark.parametrize("noted", ["before a load that was interrupted", "after one, since it did not start"])
def test_what_another_swap_has_to_start_is_not_taken_over_as_if_it_had_been_stopped(
    cloud: SimulatedCloud, noted: str
) -> None:
    whole = cloud.take()
    take_over(cloud, "heat-engine", "migrates")
    (journal,) = cloud.host().journals.all()
    (vault,) = cloud.state.glob("shared/*")
    unit = [(f"lxc:{images.HEAT}", "heat-api.service")]
    path = vault / "stopped-for-the-load.json" if noted.startswith("before") else journal.folder / "owed.json"
    path.write_text(json.dumps(unit))
    cloud.machine(images.HEAT).run(["systemctl", "stop", "--", "heat-api.service"])
    with pytest.raises(DevswapError, match="stopped for a load of its database") as refused:
        take_over(cloud, "heat-api", "plain")
    assert refused.value.hint == "devswap restore heat-engine, then try again"
    swap.restore(cloud.host(), journal)
    take_over(cloud, "heat-api", "plain")
    (second,) = cloud.host().journals.all()
    swap.restore(cloud.host(), second)
    assert differences(cloud, whole) == []


def test_a_full_disk_where_captures_are_shared_keeps_nobody_stopped(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cloud.take()
    for service in SERVICES:
        take_over(cloud, service, "migrates")
    first, second = cloud.host().journals.all()

    def full(self: Shelf, record: Record, swap: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as now:
        now.setattr(Shelf, "leave", full)
        with pytest.raises(NotWhole, match="cannot note in"):
            swap.restore(cloud.host(), first)
    unit = cloud.machine(first.swap.machine.removeprefix("lxc:")).init.unit(first.swap.unit)
    assert unit.argv[0].startswith("/openstack/")
    swap.restore(cloud.host(), Journal.load(first.folder))
    swap.restore(cloud.host(), second)
    assert [line for line in differences(cloud, whole) if "saved" not in line] == []


@pytest.mark.parametrize("order", list(permutations(SERVICES)))
@pytest.mark.parametrize("refs", SWAPPED)
def test_what_one_needs_stays_until_it_leaves(
    cloud: SimulatedCloud, refs: tuple[str, str], order: tuple[str, str]
) -> None:
    whole = cloud.take()
    for service, ref in zip(SERVICES, refs, strict=True):
        take_over(cloud, service, ref)
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
