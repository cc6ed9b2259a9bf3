"""Each database is worked on by one devswap at a time: the second of a project waits for the first."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import coming_back, database_claims, meant, preparation, several, swap, takeover
from devswap.database import Database
from devswap.database_sharing import captured_sources
from devswap.database_source import Source
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.migrating import Migrating
from devswap.shared import Shelf
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Step
from devswap.wish import Wish
from tests.simulated import images, nova
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.snapshot import Snapshot
from tests.unit.midst import API, ENGINE, Waits, check_out, impatient, in_the_midst_of, is_free, journal, restore


@pytest.mark.parametrize(("name", "doing"), [("dump", "checkout"), ("load", "restore")])
def test_another_swap_of_the_database_waits_and_is_told_for_whom_and_for_what(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch, name: str, doing: str
) -> None:
    told: list[str] = []

    def second() -> None:
        before = cloud.take()
        with pytest.raises(Waits) as waits:
            check_out(impatient(cloud.host(user="ben", uid=1000)), cloud, API, "migrates")
        told.append(str(waits.value))
        assert [line for line in differences(cloud, before) if not line.startswith("left on")] == []
        assert [each.swap.service for each in cloud.host().journals.all()] == [ENGINE]

    with in_the_midst_of(monkeypatch, Database, name, second):
        check_out(cloud.host(), cloud, ENGINE, "migrates")
        restore(cloud.host(), cloud, ENGINE)
    (said,) = told
    assert said.startswith(
        f"waiting for ada on pts/0 (process 4242): its {doing} of heat-engine works on the database "
    )
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("act", ["restore", "run", "run of several"])
def test_what_runs_serves_until_the_migration_of_another_swap_of_the_database_is_over(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    cloud.checkout("further", revisions=("a1", "b2", "c3"))
    check_out(cloud.host(), cloud, API, "migrates")
    hasty = impatient(cloud.host())
    acts: dict[str, Callable[[], object]] = {
        "restore": lambda: restore(hasty, cloud, API),
        "run": lambda: swap.run(hasty, API, None, detach=True),
        "run of several": lambda: several.run(hasty, [API], None, detach=False),
    }

    def second() -> None:
        with pytest.raises(Waits, match="its checkout of heat-engine works on the database heat "):
            acts[act]()
        # What runs serves meanwhile: its outage begins when the restore can go on.
        assert cloud.machine(images.HEAT).init.is_active("heat-api.service")
        assert journal(cloud, API).swap.mode == "detached"

    with in_the_midst_of(monkeypatch, Migrating, "run", second) as done:
        check_out(cloud.host(), cloud, ENGINE, "further")
    assert done
    for service in (API, ENGINE):
        restore(cloud.host(), cloud, service)
    assert differences(cloud, whole) == []


def test_who_is_interrupted_while_waiting_has_production_back_at_once(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepared before the other one's migration began: only what is mounted must go, and that waits for nobody."""
    ben, wish = cloud.host(user="ben", uid=1000), Wish(API, "plain", None, None, detach=True)
    prepared = preparation.prepare(ben, wish, meant.locate_place(ben, wish), cloud.makers)

    def interrupted(text: str) -> None:
        if text.startswith("waiting for"):
            raise KeyboardInterrupt

    def second() -> None:
        hasty = replace(ben, say=interrupted)
        with pytest.raises(KeyboardInterrupt), coming_back.or_back(hasty, prepared.journal):
            takeover.take_over(hasty, prepared, None, None)
        assert [each.swap.service for each in ben.journals.all()] == [ENGINE]

    with in_the_midst_of(monkeypatch, Migrating, "run", second) as done:
        check_out(cloud.host(), cloud, ENGINE, "migrates")
    assert done
    restore(cloud.host(), cloud, ENGINE)
    assert differences(cloud, whole) == []


def test_the_second_of_two_that_migrate_at_once_shares_the_capture_of_the_first(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at the same time for once: the first goes on when the second has begun to wait."""
    waits, failed = threading.Event(), list[BaseException]()
    real = Migrating.run

    def slow(self: Migrating, *arguments: Any) -> None:
        if self.service == ENGINE:
            begun.set()
            assert waits.wait(30)
        real(self, *arguments)

    def first() -> None:
        try:
            check_out(cloud.host(), cloud, ENGINE, "migrates")
        except BaseException as error:
            failed.append(error)

    begun = threading.Event()
    ben = replace(cloud.host(user="ben", uid=1000), say=lambda text: waits.set() if "waiting for ada" in text else None)
    monkeypatch.setattr(Migrating, "run", slow)
    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(30)
    check_out(ben, cloud, API, "migrates")
    thread.join(30)
    assert not failed
    (record,) = Shelf(cloud.state / "shared").all()
    assert {holder.partition("@")[0] for holder in record.holders} == {ENGINE, API}
    for service in (ENGINE, API):
        restore(cloud.host(), cloud, service)
    assert differences(cloud, whole) == []


def test_what_a_database_needs_is_found_out_while_nobody_migrates_it(cloud: SimulatedCloud, whole: Snapshot) -> None:
    """The other one begins after this one has looked at production, and while it builds."""
    check_out(cloud.host(), cloud, API, "migrates")
    other, ben = journal(cloud, API), cloud.host(user="ben", uid=1000)
    with ExitStack() as working:

        def build(*what: Any, **how: Any) -> Any:
            working.enter_context(database_claims.held(ben, other, "checkout"))
            return cloud.makers.build(*what, **how)

        wish = Wish(ENGINE, "plain", None, None, detach=True)
        with pytest.raises(Waits, match="its checkout of heat-api works on the database heat "):
            swap.checkout(impatient(cloud.host()), wish, replace(cloud.makers, build=build))
    assert [each.swap.service for each in cloud.host().journals.all()] == [API]
    restore(cloud.host(), cloud, API)
    assert differences(cloud, whole) == []


def test_a_migration_that_a_killed_devswap_has_left_running_is_not_joined(
    cloud: SimulatedCloud, whole: Snapshot
) -> None:
    killed: list[Snapshot] = []

    def look(what: str) -> None:
        if what.startswith("within") and "heat-manage" in what:
            killed.append(cloud.take())

    cloud.calls.begin(instant=look)
    check_out(cloud.host(), cloud, ENGINE, "migrates")
    cloud.put_back(killed[0])
    cloud.devswap_dies()
    before = cloud.take()
    with pytest.raises(DevswapError, match="has left the migration of heat-engine running") as refused:
        check_out(cloud.host(), cloud, API, "migrates")
    assert refused.value.hint == "devswap restore heat-engine, then try again"
    assert [line for line in differences(cloud, before) if not line.startswith("left on")] == []
    restore(cloud.host(), cloud, ENGINE)
    assert differences(cloud, whole) == []
    check_out(cloud.host(), cloud, API, "migrates")


def test_requests_come_to_what_answers_while_another_swap_migrates_the_same_database(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.balance()
    check_out(cloud.host(), cloud, API, "plain")
    said: list[str] = []

    def again() -> None:
        swap.put_in_while_shown(cloud.host(), journal(cloud, API), said.append)

    with in_the_midst_of(monkeypatch, Migrating, "run", again) as done:
        check_out(cloud.host(), cloud, ENGINE, "migrates")
    assert done
    assert said == []


def test_a_full_disk_keeps_no_restore_from_a_swap_of_before_there_were_claims(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_out(cloud.host(), cloud, ENGINE, "migrates")
    shutil.rmtree(cloud.state / "databases")
    real = Path.mkdir

    def mkdir(self: Path, *arguments: Any, **options: Any) -> None:
        if "databases" in self.parts:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        real(self, *arguments, **options)

    with monkeypatch.context() as now:
        now.setattr(Path, "mkdir", mkdir)
        restore(cloud.host(), cloud, ENGINE)
    assert differences(cloud, whole) == []


# --- the order of locks ---------------------------------------------------------------------------------------------


def test_nobody_waits_for_a_database_with_the_hosts_lock_in_hand(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.add_peer()
    real, asked = database_claims._claimed, list[str]()

    def claimed(host: Host, name: str, doing: str, busy: Callable[[str], None]) -> Any:
        assert is_free(host.state / "lock")
        asked.append(f"{doing} {name}")
        return real(host, name, doing, busy)

    monkeypatch.setattr(database_claims, "_claimed", claimed)
    start, here = cloud.take(), f"lxc:{images.HEAT}"
    swap.checkout(cloud.host(), Wish(ENGINE, "plain", here, None, detach=True, only=True), cloud.makers)
    check_out(cloud.host(), cloud, API, "migrates")
    wish = Wish("", "migrates", here, None, detach=True)
    several.checkout(cloud.host(), (ENGINE, API), wish, cloud.makers)
    swap.run(cloud.host(), ENGINE, here, detach=True)
    for service in (ENGINE, API):
        restore(cloud.host(), cloud, service)
    assert differences(cloud, start) == []
    assert {line.split(" of ")[0] for line in asked} == {"checkout", "run", "restore"}


def test_each_kind_of_step_that_is_shared_names_the_databases_that_are_claimed_for_it() -> None:
    shared = [kind for kind in Step.known.values() if kind.shared is not Step.shared]
    assert shared
    assert all(isinstance(getattr(kind, "databases", None), property) for kind in shared)


def test_a_cell_that_is_listed_while_its_claims_are_waited_for_is_claimed_as_well(cloud: SimulatedCloud) -> None:
    first, second = (Source("lxc:x", "x.service", (), "", "", "lxc:db", name, "db:3306") for name in ("one", "two"))
    answers = iter([[first], [first, second], [first, second], [first, second]])
    with database_claims.of(cloud.host(), lambda: next(answers), "restore of x"):
        for each in (first, second):
            assert not is_free(database_claims._path(cloud.state, *each.names))
    assert is_free(database_claims._path(cloud.state, *second.names))


def test_all_databases_of_a_project_are_claimed(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    nova.add(cloud)
    nova.checkout(cloud, "newer, migrates", api=("p1", "p2"), main=("n1", "n2"))
    held: list[bool] = []

    def look() -> None:
        (record,) = [each for each in Shelf(cloud.state / "shared").all() if each.step["kind"] == SyncDatabase.kind]
        databases = captured_sources(record)
        assert len(databases) == 4
        held.extend(not is_free(database_claims._path(cloud.state, name)) for each in databases for name in each.names)

    with in_the_midst_of(monkeypatch, Migrating, "run", look):
        check_out(cloud.host(), cloud, nova.CONDUCTOR, "newer, migrates")
    assert held
    assert all(held)
