"""A nova in the simulated cloud, with checkouts of it, for the tests that need one."""

from __future__ import annotations

from pathlib import Path

from devswap import swap
from devswap.steps.step import NOTHING_KEPT, Kept, Step, from_json
from devswap.wish import Wish
from tests.simulated import nova
from tests.simulated.cloud import SimulatedCloud

CONDUCTOR, SCHEDULER = nova.CONDUCTOR, nova.SCHEDULER


def with_nova(folder: Path) -> SimulatedCloud:
    found = SimulatedCloud(folder)
    nova.add(found)
    nova.checkout(found, "newer")
    nova.checkout(found, "migrates", api=("p1", "p2"), main=("n1", "n2"))
    nova.checkout(found, "migrates-cells", main=("n1", "n2"))
    nova.checkout(found, "dies", api=("p1", "p2"), main=("n1", "n2"), fate="dies")
    return found


def checkout(cloud: SimulatedCloud, ref: str, service: str = CONDUCTOR, *, snapshot: bool = False) -> None:
    swap.checkout(cloud.host(), Wish(service, ref, None, None, detach=True, snapshot=snapshot), cloud.makers)


def restore(cloud: SimulatedCloud, service: str = CONDUCTOR, *, kept: Kept = NOTHING_KEPT) -> None:
    (journal,) = [each for each in cloud.host().journals.all() if each.swap.service == service]
    swap.restore(cloud.host(), journal, kept=kept)


def steps(cloud: SimulatedCloud, kind: type[Step]) -> list[Step]:
    (journal,) = cloud.host().journals.all()
    return [found for found in (from_json(entry.step) for entry in journal.entries) if isinstance(found, kind)]


def versions(cloud: SimulatedCloud) -> list[str]:
    return cloud.schema(nova.CELL1).select(("id", "version"), "services")


def serves(cloud: SimulatedCloud, service: str) -> bool:
    return cloud.machine(nova.MACHINE).init.is_active(f"{service}.service")


def delist_cell0(cloud: SimulatedCloud) -> None:
    """It comes before another one."""
    table = cloud.schema(nova.API).table("cell_mappings")
    table.rows[:] = [row for row in table.rows if nova.CELL0_UUID not in row]
