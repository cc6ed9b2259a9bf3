"""swift's services of accounts and containers: what newer code alters in their databases comes back."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devswap.sandbox.changes import MIGRATION
from devswap.sandbox.edits_of_swift import SEEN_BY
from tests.integration.added import give_back, take_over
from tests.integration.cloud import Cloud, wait_until
from tests.integration.objects import Store, at_storage, store_of
from tests.integration.people import Desk
from tests.integration.test_meanwhile import journal_of
from tests.integration.test_strikes import kill_alone, kill_with_all_it_started

pytestmark = [pytest.mark.sandbox, pytest.mark.added("swift"), pytest.mark.eras("current")]

ACCOUNTS, CONTAINERS = "swift-account-server", "swift-container-server"
DAEMONS = (
    "swift-account-auditor",
    "swift-account-reaper",
    "swift-account-replicator",
    "swift-container-auditor",
    "swift-container-replicator",
    "swift-container-updater",
)
# Of each database its schema, its owner and mode, what lies beside it, and who has noted to have opened it.
_LOOK = """
import glob, json, os, sqlite3, sys
found = {}
for path in glob.glob("/srv/node/*/%s/*/*/*/*.db" % sys.argv[1]):
    connection, told = sqlite3.connect(path, timeout=60), os.stat(path)
    schema = sorted(map(str, connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")))
    table = {"accounts": "account_stat", "containers": "container_info"}[sys.argv[1]]
    columns = [row[1] for row in connection.execute("PRAGMA table_info(%s)" % table)]
    seen = connection.execute("SELECT seen_by FROM " + table).fetchone()[0] if "seen_by" in columns else None
    beside = [name for name in os.listdir(os.path.dirname(path)) if "devswap" in name or "journal" in name]
    found[path] = {"schema": schema, "owner": [told.st_uid, told.st_gid, told.st_mode], "beside": beside, "seen": seen}
print(json.dumps(found))
"""
_DROP = """
import sqlite3, sys
for path in sys.argv[1:]:
    with sqlite3.connect(path, timeout=60) as connection:
        connection.execute("ALTER TABLE container_info DROP COLUMN seen_by")
"""


@pytest.fixture
def store(cloud: Cloud) -> Iterator[Store]:
    with store_of(cloud) as found:
        yield found


def python(cloud: Cloud, container: str) -> str:
    return cloud.sh("ls /openstack/venvs/swift-*/bin/python | head -n 1", on=container)


def databases(cloud: Cloud, container: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cloud.run([python(cloud, container), "-c", _LOOK, kind], on=container).stdout)
    return found


def seen_by(cloud: Cloud, container: str, kind: str) -> set[str]:
    """The services that say that they have opened one of the databases."""
    return {name for each in databases(cloud, container, kind).values() for name in (each["seen"] or "").split()}


def names(store: Store, container: str = "") -> list[str]:
    return store.ask("GET", container).text.split()


def test_accounts_and_containers_are_served_by_the_checkout_and_are_production_s_again(
    cloud: Cloud, desk: Desk, store: Store
) -> None:
    with at_storage(cloud, desk) as container:
        store.put("first/red")
        wait_until(lambda: "first" in names(store), "the account lists its containers", seconds=60)
        before = {kind: databases(cloud, container, kind) for kind in ("accounts", "containers")}
        assert all(before.values())
        for service, kind in ((CONTAINERS, "containers"), (ACCOUNTS, "accounts")):
            assert take_over(cloud, desk, service, container, MIGRATION) == SEEN_BY
            store.put(f"first/{kind}")
            assert names(store, "first") == sorted(["red", *(["containers"] if kind == "accounts" else []), kind])
            assert {"first", "second"} <= set(names(store))
            assert seen_by(cloud, container, kind) == {service}
        assert store.ask("PUT", "third").code == 201
        assert {"first", "second", "third"} <= set(names(store))
        for service, kind in ((CONTAINERS, "containers"), (ACCOUNTS, "accounts")):
            said = desk.devswap("restore", service, "--machine", container).said
            assert "facts identical" in said
            assert re.search(rf"/srv/node/d1/{kind}/\S+\.db is put back as it was", said)
            assert "saving the databases that differ as they are now: " in said
            assert databases(cloud, container, kind) == before[kind]
        assert names(store, "first") == ["red"], "what was written to an altered database is in its save"
        assert store.ask("GET", "third").code == 404
        assert store.get("first/red") == store.get("first/containers") == {}
        store.put("first/blue")
        assert names(store, "first") == ["blue", "red"]
        for name in ("containers", "accounts"):
            assert store.ask("DELETE", f"first/{name}").code == 204


def test_several_that_open_the_same_databases_have_one_copy_of_them(cloud: Cloud, desk: Desk, store: Store) -> None:
    with at_storage(cloud, desk) as container:
        store.put("first/red")
        before = databases(cloud, container, "containers")
        take_over(cloud, desk, CONTAINERS, container, MIGRATION)
        take_over(cloud, desk, "swift-container-auditor", container, MIGRATION)
        assert names(store, "first") == ["red"]
        said = desk.devswap("restore", CONTAINERS, "--machine", container).said
        assert "held by swift-container-auditor@" in said
        assert seen_by(cloud, container, "containers") >= {CONTAINERS}
        assert names(store, "first") == ["red"]
        give_back(desk, "swift-container-auditor", container)
        assert databases(cloud, container, "containers") == before
        assert names(store, "first") == ["red"]


@pytest.mark.parametrize("service", DAEMONS)
def test_what_looks_after_databases_opens_them_and_leaves_none_altered(
    cloud: Cloud, desk: Desk, store: Store, service: str
) -> None:
    kind = f"{service.split('-')[1]}s"
    with at_storage(cloud, desk) as container:
        store.put("first/red")
        wait_until(lambda: "first" in names(store), "the account lists its containers", seconds=60)
        before = databases(cloud, container, kind)
        take_over(cloud, desk, service, container, MIGRATION)
        wait_until(lambda: seen_by(cloud, container, kind) == {service}, f"{service} opens them", seconds=120)
        give_back(desk, service, container)
        assert databases(cloud, container, kind) == before
        assert names(store, "first") == ["red"]


def test_altered_databases_stay_so_by_the_user_s_word(cloud: Cloud, desk: Desk, store: Store) -> None:
    with at_storage(cloud, desk) as container:
        store.put("first/red")
        before = databases(cloud, container, "containers")
        take_over(cloud, desk, CONTAINERS, container, MIGRATION)
        assert names(store, "first") == ["red"]
        said = desk.devswap("restore", CONTAINERS, "--machine", container, "--keep-database").said
        (copies,) = re.findall(r"stay as they are; as they were before: (\S+)", said)
        assert copies.endswith(".tar.gz")
        assert seen_by(cloud, container, "containers") == {CONTAINERS}
        store.put("first/blue")
        assert names(store, "first") == ["blue", "red"]
        altered = [path for path, each in databases(cloud, container, "containers").items() if each["seen"] is not None]
        cloud.run([python(cloud, container), "-c", _DROP, *altered], on=container)
        assert databases(cloud, container, "containers") == before


def test_the_way_out_by_hand_brings_altered_databases_back(cloud: Cloud, desk: Desk, store: Store) -> None:
    with at_storage(cloud, desk) as container:
        store.put("first/red")
        before = databases(cloud, container, "containers")
        take_over(cloud, desk, CONTAINERS, container, MIGRATION)
        assert names(store, "first") == ["red"]
        script = journal_of(cloud, CONTAINERS, container).with_name("restore.sh")
        for said in ("those that differ, as they are now: ", "are as they were: nothing is put back"):
            by_hand = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
            assert by_hand.returncode == 0, by_hand.stderr
            assert said in by_hand.stdout
            assert databases(cloud, container, "containers") == before
        wait_until(lambda: names(store, "first") == ["red"], "production lists its objects", seconds=60)
        give_back(desk, CONTAINERS, container)


@pytest.mark.parametrize(
    ("at", "blow"),
    [
        ("stopping swift-container-", kill_with_all_it_started),
        ("saving the databases", kill_alone),
        ("is put back as it was", kill_alone),
        ("is put back as it was", kill_with_all_it_started),
    ],
)
def test_altered_databases_come_back_whenever_a_restore_of_them_is_killed(
    cloud: Cloud, desk: Desk, store: Store, at: str, blow: Callable[[subprocess.Popen[str]], None]
) -> None:
    with at_storage(cloud, desk) as container:
        store.put("first/red")
        before = databases(cloud, container, "containers")
        take_over(cloud, desk, CONTAINERS, container, MIGRATION)
        assert names(store, "first") == ["red"]
        with desk.start("restore", CONTAINERS, "--machine", container) as process:
            assert process.stderr is not None
            assert any(at in line for line in process.stderr)
            blow(process)
        give_back(desk, CONTAINERS, container)
        assert databases(cloud, container, "containers") == before
        assert names(store, "first") == ["red"]
