"""Promises about databases and machines that a person may ask for by an option, or that only a disaster asks for."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import signal
from contextlib import AbstractContextManager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from devswap import session, swap, systemd
from devswap.database import Database
from devswap.errors import DevswapError, NotWhole
from devswap.host import Host
from devswap.host_lock import HostLock
from devswap.journal import Journal, Journals
from devswap.undisturbed import undisturbed
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.person import Person
from tests.simulated.snapshot import Snapshot
from tests.unit.midst import in_the_midst_of

SERVICE = "heat-engine"


def take_over(cloud: SimulatedCloud, ref: str, *, snapshot: bool = False) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, ref, None, None, detach=True, snapshot=snapshot), cloud.makers)


def dumps(cloud: SimulatedCloud, where: str) -> list[str]:
    return [gzip.decompress(path.read_bytes()).decode() for path in cloud.state.glob(f"{where}/*.sql.gz")]


def test_a_restore_tells_how_long_nobody_answered(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    take_over(cloud, "plain")
    person.types("devswap restore heat-engine --json")
    (restored,) = json.loads(capsys.readouterr().out)["restored"]
    assert 0 <= restored["outage"] < 5
    take_over(cloud, "plain")
    person.types("devswap restore heat-engine")
    assert re.search(r"\d facts identical; outage \d+\.\d s\n", capsys.readouterr().out)


def test_no_outage_is_told_where_development_had_ended_before(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has lasted since, which no restore has seen."""
    take_over(cloud, "plain")
    systemd.stop(cloud.host().machine(f"lxc:{images.HEAT}"), f"{SERVICE}.service")
    person.types("devswap restore heat-engine")
    assert capsys.readouterr().out.endswith("facts identical\n")


@pytest.mark.parametrize("mends", [True, False])
def test_what_needed_another_service_that_came_back_later_is_tried_once_more(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch, *, mends: bool
) -> None:
    for service in ("heat-api", SERVICE):
        swap.checkout(cloud.host(), Wish(service, "plain", None, None, detach=True), cloud.makers)
    real, asked = swap.restore, list[str]()

    def restore(host: Host, journal: Journal, **options: Any) -> Any:
        asked.append(journal.swap.service)
        if journal.swap.service == SERVICE and (asked.count(SERVICE) == 1 or not mends):
            raise NotWhole("it does not answer")
        return real(host, journal, **options)

    monkeypatch.setattr(swap, "restore", restore)
    if mends:
        person.types("devswap restore")
        assert cloud.host().journals.all() == []
    else:
        assert "does not answer" in person.is_told("restore").message
        assert [journal.swap.service for journal in cloud.host().journals.all()] == [SERVICE]
    assert asked == [SERVICE, "heat-api", SERVICE]


def test_who_has_come_since_the_checkout_is_stopped_for_the_load_as_well(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine was just being restarted when the users of the database were looked for."""
    whole, machine, unit = cloud.take(), cloud.machine(images.HEAT_CFN), "heat-api-cfn.service"
    machine.halt()
    take_over(cloud, "migrates")
    machine.boot()
    assert machine.init.is_active(unit)
    seen = list[bool]()
    (journal,) = cloud.host().journals.all()
    with in_the_midst_of(monkeypatch, Database, "load", lambda: seen.append(machine.init.is_active(unit))):
        swap.restore(cloud.host(), journal)
    assert seen == [False]
    assert machine.init.is_active(unit)
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP])
def test_a_way_back_is_neither_interrupted_nor_stopped_half_way(cloud: SimulatedCloud, number: int) -> None:
    before = signal.getsignal(number)
    with undisturbed(cloud.host()):
        assert callable(signal.getsignal(number))
        signal.raise_signal(number)
        assert cloud.said == ["production is coming back; this cannot be interrupted"]
    assert signal.getsignal(number) == before


def test_ctrl_c_while_one_is_tried_once_more_does_not_hide_that_it_had_failed(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in ("heat-api", SERVICE):
        swap.checkout(cloud.host(), Wish(service, "plain", None, None, detach=True), cloud.makers)
    real, asked = swap.restore, list[str]()

    def restore(host: Host, journal: Journal, **options: Any) -> Any:
        asked.append(journal.swap.service)
        if journal.swap.service != SERVICE:
            return real(host, journal, **options)
        raise KeyboardInterrupt if asked.count(SERVICE) == 2 else NotWhole("it does not answer")

    monkeypatch.setattr(swap, "restore", restore)
    assert "it does not answer" in person.is_told("restore").message
    assert asked == [SERVICE, "heat-api", SERVICE]


@pytest.mark.parametrize("fails", [True, False])
def test_ctrl_c_while_one_waits_does_not_hide_that_another_has_failed(
    cloud: SimulatedCloud,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    fails: bool,
) -> None:
    for service in ("heat-api", SERVICE):
        swap.checkout(cloud.host(), Wish(service, "plain", None, None, detach=True), cloud.makers)
    real = swap.restore

    def restore(host: Host, journal: Journal, **options: Any) -> Any:
        if journal.swap.service == "heat-api":
            raise KeyboardInterrupt
        if fails:
            raise NotWhole("it does not answer")
        return real(host, journal, **options)

    monkeypatch.setattr(swap, "restore", restore)
    told = person.is_told("restore", code=3 if fails else 130)
    said = capsys.readouterr()
    assert "interrupted; heat-api is not given back" in (said.err if fails else told.message)
    assert ("does not answer" in told.message) if fails else ("heat-engine: production is back" in said.out)


def test_a_database_that_is_half_loaded_is_kept_as_it_was_before_that_load(
    cloud: SimulatedCloud, whole: Snapshot, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over(cloud, "migrates")
    migrated = deepcopy(cloud.schema(images.ACCOUNT))

    def lost(self: Database, argv: object, packed: object) -> None:
        raise DevswapError("the connection was lost")

    with monkeypatch.context() as now:
        now.setattr(Database, "_stream_in", lost)
        person.is_told("restore", "heat-engine")
    assert cloud.schema(images.ACCOUNT) != migrated
    person.types("devswap restore heat-engine --keep-database")
    assert cloud.schema(images.ACCOUNT) == migrated
    assert cloud.host().journals.all() == []
    assert all(line.startswith(f"{images.DATABASE_HOST}: heat.") for line in differences(cloud, whole))


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_dump_is_taken_without_a_migration_where_it_is_asked_for(
    cloud: SimulatedCloud, whole: Snapshot, *, snapshot: bool
) -> None:
    take_over(cloud, "plain", snapshot=snapshot)
    assert len(dumps(cloud, "shared/*")) == int(snapshot)
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_a_migrated_database_stays_where_that_is_asked_for_and_its_dump_is_kept(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    take_over(cloud, "migrates")
    capsys.readouterr()
    person.types("devswap restore heat-engine --keep-database")
    said = capsys.readouterr().out
    assert "left as it is: database revision: was a1, is b2" in said
    assert "not by devswap" not in said
    schema = cloud.schema(images.ACCOUNT)
    assert schema.column("alembic_version") == ["b2"]
    assert cloud.machine(images.HEAT).init.unit(f"{SERVICE}.service").argv[0].startswith(images.VENV)
    (kept,) = dumps(cloud, "saved")
    assert "'a1'" in kept
    assert cloud.host().journals.all() == []


def test_a_dump_for_which_there_is_no_room_is_not_begun(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(cloud.folder)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: free)
    with pytest.raises(DevswapError, match="cannot save the database: it needs up to") as refused:
        take_over(cloud, "migrates")
    assert "DEVSWAP_STATE_DIR" in (refused.value.hint or "")
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_database_that_holds_what_its_account_could_not_load_again_is_not_migrated(
    cloud: SimulatedCloud, whole: Snapshot, *, snapshot: bool
) -> None:
    """The load would end at it, half way, with every table dropped and nobody who may go on."""
    cloud.schema(images.ACCOUNT).of_others = [("view", "totals", "root@localhost"), ("trigger", "audit", "dba@%")]
    with pytest.raises(DevswapError, match="may not make the trigger audit of dba@%, the view tot") as no:
        take_over(cloud, "plain" if snapshot else "migrates", snapshot=snapshot)
    assert "GRANT SET USER" in (no.value.hint or "")
    assert differences(cloud, whole) == []


def test_a_load_by_hand_that_was_interrupted_is_done_again(cloud: SimulatedCloud, whole: Snapshot) -> None:
    """Its schema may be that of a whole one already: restore.sh leaves the sign by which devswap knows."""
    take_over(cloud, "plain", snapshot=True)
    (journal,) = cloud.host().journals.all()
    cloud.schema(images.ACCOUNT).execute("INSERT INTO `event` VALUES (99)")
    begun = re.search(r"^ +: >> (\S+)$", (journal.folder / "restore.sh").read_text(), re.MULTILINE)
    assert begun is not None
    Path(begun[1]).touch()
    swap.restore(cloud.host(), journal)
    assert "(99)" not in cloud.schema(images.ACCOUNT).table("event").rows
    assert differences(cloud, whole) == []


def test_a_machine_that_was_destroyed_takes_its_steps_along_and_the_database_comes_back(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    """A playbook rebuilds it then: exit 0, and what could still be put back was."""
    take_over(cloud, "migrates")
    del cloud.world.machines[images.HEAT]
    person.types("devswap restore")
    out = capsys.readouterr().out
    assert f"heat-engine: its machine is gone: lxc:{images.HEAT}\n" in out
    gone = [line for line in out.splitlines() if line.startswith("  gone with its machine, nothing left to do: ")]
    assert any("unmount /run/devswap/heat-engine/1/checkout" in line for line in gone)
    assert not any("database" in line for line in gone)  # which is elsewhere, and came back
    assert any(f"no LXC container {images.HEAT}" in line for line in cloud.said)
    assert cloud.schema(images.ACCOUNT).column("alembic_version") == ["a1"]
    assert cloud.machine(images.HEAT_CFN).init.is_active("heat-api-cfn.service")
    assert cloud.host().journals.all() == []
    assert list(cloud.state.glob("shared/*/record.json")) == []


def test_a_second_person_is_told_whose_swap_is_given_back(
    cloud: SimulatedCloud, whole: Snapshot, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over(cloud, "plain")
    person.types("devswap restore")
    assert not any("was taken over by" in line for line in cloud.said)
    take_over(cloud, "plain")
    monkeypatch.setattr(session, "open_host_to_restore", lambda: cloud.host(user="ben", uid=1000))
    person.types("devswap restore")
    assert "heat-engine was taken over by ada on pts/0" in cloud.said
    assert differences(cloud, whole) == []


def test_what_serves_is_kept_while_another_swap_changes_the_host(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration of minutes: its holder is waited for, and nobody is rolled back for it."""
    asked: list[float | None] = []
    changing = Journals.changing

    def noting(self: Journals, *, seconds: float | None = 300.0, **more: Any) -> AbstractContextManager[HostLock]:
        asked.append(seconds)
        return changing(self, seconds=seconds, **more)

    monkeypatch.setattr(Journals, "changing", noting)
    take_over(cloud, "plain")
    assert asked[-1] is None


def test_the_databases_password_is_on_no_command_line_in_no_journal_and_in_nothing_said(cloud: SimulatedCloud) -> None:
    cloud.calls.begin()
    take_over(cloud, "migrates")
    written = "".join(path.read_text() for path in cloud.state.rglob("*") if path.suffix in (".json", ".sh"))
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    said = "\n".join((*cloud.calls.names, *cloud.said))
    assert "mariadb-dump" in said
    for secret in (images.PASSWORD, "s%40cr%25t"):
        assert secret not in said
        assert secret not in written
