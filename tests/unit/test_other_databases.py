"""A project whose database devswap's tools do not know: taken over where its database stays as it is, else refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devswap import swap
from devswap.errors import OtherDatabase
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences

SERVICE = "heat-engine"
CONF = "/etc/heat/heat.conf"
INSTALLED = f"{images.VENV}/lib/python3.11/site-packages/heat/db/migrations/versions"
REFUSED = "cannot save a database of kind 'postgresql'"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    machine = found.machine(images.HEAT)
    text = machine.read_text(CONF) or ""
    assert "mysql+pymysql://" in text
    machine.write_text(CONF, text.replace("mysql+pymysql://", "postgresql+psycopg2://"))
    machine.write_text(f"{INSTALLED}/a1_change.py", "revision = 'a1'\ndown_revision = None\n")
    found.checkout("plain")
    found.checkout("other")
    found.checkout("migrates", revisions=("a1", "b2"))
    with no_waiting(monkeypatch):
        yield found


def checkout(cloud: SimulatedCloud, ref: str, **more: Any) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, ref, None, None, detach=True, **more), cloud.makers)


def test_it_is_left_alone_where_production_has_every_migration_of_the_checkout(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    checkout(cloud, "plain")
    assert any(REFUSED in line and "left alone" in line for line in cloud.said)
    assert cloud.machine(images.HEAT).init.unit(f"{SERVICE}.service").argv[0].startswith("/run/devswap/")
    checkout(cloud, "other")
    (journal,) = cloud.host().journals.all()
    assert journal.swap.ref == "other"
    swap.restore(cloud.host(), journal)
    assert differences(cloud, before) == []


@pytest.mark.parametrize(("ref", "more"), [("migrates", {}), ("plain", {"snapshot": True})])
def test_it_is_refused_by_name_where_it_would_have_to_be_saved(
    cloud: SimulatedCloud, ref: str, more: dict[str, Any]
) -> None:
    before = cloud.take()
    with pytest.raises(OtherDatabase, match=REFUSED):
        checkout(cloud, ref, **more)
    assert differences(cloud, before) == []


def test_a_switch_to_a_migration_is_refused_and_the_first_checkout_runs_on(cloud: SimulatedCloud) -> None:
    checkout(cloud, "plain")
    with pytest.raises(OtherDatabase, match=REFUSED):
        checkout(cloud, "migrates")
    (journal,) = cloud.host().journals.all()
    assert journal.swap.ref == "plain"
    assert cloud.machine(images.HEAT).init.unit(f"{SERVICE}.service").argv[0].startswith("/run/devswap/")


def test_what_production_has_installed_nowhere_may_be_pending(cloud: SimulatedCloud) -> None:
    cloud.machine(images.HEAT).remove(f"{INSTALLED}/a1_change.py")
    with pytest.raises(OtherDatabase, match=REFUSED):
        checkout(cloud, "plain")
