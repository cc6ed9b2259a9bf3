"""Databases that a service has in files, from the catalogue to what a restore proves of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import fingerprint, plan, schema, swap
from devswap.discovery import units
from devswap.errors import UsageError
from devswap.proof import Restored
from devswap.service import load_catalogue
from devswap.sqlite_files import SqliteFiles
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Kept
from devswap.wish import Wish
from tests.simulated import images, sqlite
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.files import Files

SERVICE = "heat-engine"
FACT = f"database files {sqlite.PATTERN} in {sqlite.FOLDER}"
FIRST = sqlite.path("abc")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.checkout("plain")
    found.keep_files()
    with no_waiting(monkeypatch):
        yield found


def files(cloud: SimulatedCloud) -> Files:
    return cloud.machine(images.HEAT).files


def take_over(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)


def restore(cloud: SimulatedCloud, kept: Kept | None = None) -> Restored:
    host = cloud.host()
    (journal,) = host.journals.all()
    return swap.restore(host, journal, kept=kept or Kept())


def test_what_development_has_altered_is_back_and_proven(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    take_over(cloud)
    assert sqlite.rows(files(cloud), FIRST, "SELECT name FROM object") == [("new",)]
    restored = restore(cloud)
    assert (restored.changed_by_others, restored.left) == ([], ())
    assert restored.facts[FACT].isalnum()
    assert differences(cloud, whole) == []
    assert f"{sqlite.FOLDER}/{FIRST} is put back as it was" in cloud.said


def test_a_second_checkout_copies_nothing_again(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    cloud.checkout("other")
    take_over(cloud)
    swap.checkout(cloud.host(), Wish(SERVICE, "other", None, None, detach=True), cloud.makers)
    assert len([line for line in cloud.said if line.startswith("copying the databases")]) == 1
    restore(cloud)
    assert differences(cloud, whole) == []


def test_that_some_come_and_go_is_no_difference(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    files(cloud).remove(f"{sqlite.FOLDER}/{FIRST}")
    sqlite.make(files(cloud), sqlite.path("xyz"))
    assert restore(cloud).changed_by_others == []
    assert files(cloud).exists(f"{sqlite.FOLDER}/{sqlite.path('xyz')}")


def test_what_stays_altered_by_the_users_word_is_named(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    restored = restore(cloud, Kept(frozenset([KeepSqlite.kind])))
    assert [line.partition(": ")[0] for line in restored.left] == [FACT]
    assert sqlite.rows(files(cloud), FIRST, "SELECT name FROM object") == [("new",)]


def test_a_plan_names_them_and_changes_nothing(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    planned = swap.plan(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    where = f"databases {sqlite.PATTERN} in {sqlite.FOLDER}"
    assert {"do": f"copy the {where}", "undo": f"put those of the {where} back whose schema differs"} in planned.steps
    assert differences(cloud, whole) == []


def test_one_whose_own_python_is_gone_is_looked_at_by_that_of_the_machine(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.HEAT)
    images.put(machine.files, "/usr/bin/python3", "\x7fELF")
    upgraded = SqliteFiles(machine.address, "/gone/bin/python", "heat", "heat", sqlite.FOLDER, (sqlite.PATTERN,))
    assert set(upgraded.look(machine)) == {FIRST, sqlite.path("def")}


def test_the_folder_is_the_one_that_the_configuration_names(cloud: SimulatedCloud) -> None:
    configuration = f"{images.VENV}/etc/heat/heat.conf"
    for said, folder in (("", sqlite.FOLDER), ("[DEFAULT]\ndevices = /srv/other\n", "/srv/other")):
        images.put(files(cloud), configuration, images.HEAT_CONF + said)
        take_over(cloud)
        (journal,) = cloud.host().journals.all()
        watched = fingerprint.watched_from_json(journal.swap.watched)
        assert watched.sqlite is not None
        assert watched.sqlite.folder == folder
        restore(cloud)


@pytest.mark.parametrize(("kind", "number"), [("account", 4), ("container", 6)])
def test_whatever_of_swift_opens_the_same_is_known(cloud: SimulatedCloud, kind: str, number: int) -> None:
    services = list(load_catalogue())
    own = next(each for each in services if each.name == f"swift-{kind}-server")
    (place, *_) = units.find([cloud.host().catalogue().get(SERVICE)], [cloud.machine(images.HEAT)])
    deployment = replace(units.examine(place), service=own, unit=f"swift-{kind}-server.service")
    stored = SqliteFiles(place.machine.address, "python", "swift", "swift", "/srv/node", ())
    users = [unit for _, unit in plan.keep_sqlite(deployment, stored, services).users]
    assert users[0] == f"swift-{kind}-server.service"
    assert f"swift-{kind}-auditor.service" in users
    assert f"swift-{kind}.service" in users, "as others call it"
    assert all(unit.startswith(f"swift-{kind}") for unit in users)
    assert len(users) == number + 1
    assert f"swift-{kind}-reconciler.service" not in users


@pytest.mark.parametrize("wrong", [{"files": ["/etc/*"]}, {"files": ["../*"]}, {"default": "srv"}, {"option": "a b"}])
def test_patterns_stay_below_the_folder(wrong: dict[str, object]) -> None:
    table = {"group": "DEFAULT", "option": "devices", "default": "/srv/node", "files": ["*/*.db"]}
    schema.check("own.toml", {"service": {"own": {"sqlite": table}}})
    with pytest.raises(UsageError, match=r"service\.own\.sqlite\."):
        schema.check("own.toml", {"service": {"own": {"sqlite": {**table, **wrong}}}})
