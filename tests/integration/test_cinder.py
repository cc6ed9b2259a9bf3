"""cinder of a sandbox, whose volumes are real but for what they are kept on: who has placed and made each is seen."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration.added import ask, give_back, take_over, whole
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.test_foreground import PROMPT, stop

pytestmark = [pytest.mark.sandbox, pytest.mark.added("cinder"), pytest.mark.eras("current")]

MANAGER, OBJECTS = "cinder/volume/manager.py", "cinder/objects/base.py"
# What follows the versions of objects.
REGISTRY = "\n\n\nclass CinderObjectRegistry("
# A line in the midst of what makes a volume.
KEPT = "        # We lose the host value if we reschedule, so keep it here\n"


def checkout(cloud: Cloud, desk: Desk) -> Path:
    return desk.person.checkout(f"review~{cloud.change(HARMLESS, 'cinder').number}", "cinder")


def at_api(cloud: Cloud, desk: Desk) -> AbstractContextManager[str]:
    return whole(cloud, desk, "cinder", ["cinder-api", "cinder-scheduler"], "cinder-api")


def at_volumes(cloud: Cloud, desk: Desk) -> AbstractContextManager[str]:
    return whole(cloud, desk, "cinder", ["cinder-volume", "cinder-backup"], "cinder-volumes")


@dataclass(frozen=True)
class Volumes:
    """Somebody's."""

    cloud: Cloud

    def ask(self, verb: str, path: str, body: object = None, *, ok: bool = True) -> Any:
        return ask(self.cloud, "block-storage", verb, path, body, ok=ok)

    def begin(self, name: str) -> str:
        """The number of one that is not made yet."""
        made: str = self.ask("POST", "/volumes", {"volume": {"name": name, "size": 1}})["volume"]["id"]
        return made

    def create(self, name: str) -> dict[str, Any]:
        """As its owner sees it once it can be used."""
        return self.made(self.begin(name))

    def made(self, number: str) -> dict[str, Any]:
        wait_until(lambda: self.shown(number)["status"] != "creating", f"volume {number} is made")
        shown = self.shown(number)
        assert shown["status"] == "available", shown
        return shown

    def shown(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/volumes/{number}")["volume"]
        return found

    def take_in(self, name: str) -> dict[str, Any]:
        """A backup of which there is a record only, as it is shown then."""
        nothing = dict.fromkeys(("container", "service_metadata"))
        record = {
            "id": str(uuid.uuid4()),
            "display_name": name,
            "display_description": "",
            "size": 1,
            "object_count": 0,
        }
        url = base64.b64encode(json.dumps({**record, **nothing}).encode()).decode()
        driver = "cinder.backup.drivers.posix.PosixBackupDriver"
        self.ask("POST", "/backups/import_record", {"backup-record": {"backup_service": driver, "backup_url": url}})
        wait_until(lambda: self.backup(record["id"])["status"] != "creating", "the record is taken in", seconds=60)
        shown = self.backup(record["id"])
        assert shown["status"] == "available", shown
        return shown

    def backup(self, number: object) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/backups/{number}")["backup"]
        return found

    def backups(self) -> list[str]:
        return [backup["id"] for backup in self.ask("GET", "/backups")["backups"]]

    def numbers(self) -> list[str]:
        return [volume["id"] for volume in self.ask("GET", "/volumes")["volumes"]]


@pytest.fixture
def volumes(cloud: Cloud) -> Iterator[Volumes]:
    """Nothing of them is left afterwards, as production's own services see to."""
    made = Volumes(cloud)
    wait_until(lambda: made.ask("GET", "/volumes", ok=False) is not None, "cinder-api answers", seconds=90)
    yield made
    for number in made.backups():
        made.ask("DELETE", f"/backups/{number}")
    wait_until(lambda: made.backups() == [], "the backups are deleted")
    for number in made.numbers():
        made.ask("DELETE", f"/volumes/{number}")
    wait_until(lambda: made.numbers() == [], "the volumes are deleted")


def test_volumes_are_placed_and_made_and_shown_by_the_checkout_and_by_production_again(
    cloud: Cloud, desk: Desk, volumes: Volumes
) -> None:
    with at_api(cloud, desk) as api, at_volumes(cloud, desk) as at:
        first = volumes.create("red")
        assert (first["name"], first["metadata"]) == ("red", {})
        places = {"cinder-volume": at, "cinder-scheduler": api, "cinder-api": api}
        shown = [take_over(cloud, desk, service, place) for service, place in places.items()][-1]
        second = volumes.create("blue")
        assert second["name"] == f"blue ({shown})"
        assert second["metadata"] == {"scheduler": shown, "volume": shown}
        for service, place in places.items():
            give_back(desk, service, place)
        third = volumes.create("green")
        assert (third["name"], third["metadata"]) == ("green", {})
        assert volumes.shown(second["id"])["name"] == "blue"


# Whose Python and which helper run what os-brick does as root, by whom.
HELPERS = "ps -eo user=,args= | grep '[p]rivsep-helper' | grep -v '^[^ ]* *sudo' || true"


def test_a_backup_is_taken_in_by_the_checkout_which_does_as_root_what_it_must_and_by_production_again(
    cloud: Cloud, desk: Desk, volumes: Volumes
) -> None:
    with at_volumes(cloud, desk) as container:
        assert volumes.take_in("red")["description"] == ""
        shown = take_over(cloud, desk, "cinder-backup", container)
        assert volumes.take_in("blue")["description"] == shown
        number = volumes.create("volume")["id"]
        begun = volumes.ask("POST", "/backups", {"backup": {"volume_id": number, "name": "blue"}})["backup"]["id"]
        # a volume that pretends cannot be read, but before that os-brick looks at the host as root
        wait_until(lambda: volumes.backup(begun)["status"] == "error", "it was tried", seconds=90)
        helpers = cloud.sh(HELPERS, on=container).splitlines()
        own = "/run/devswap/cinder-backup/hooks/bin/privsep-helper"
        assert any(line.startswith("root ") and own in line for line in helpers), helpers
        give_back(desk, "cinder-backup", container)
        assert own not in cloud.sh(HELPERS, on=container)
        assert "No such file" in cloud.sh("ls /etc/sudoers.d/devswap-cinder-backup 2>&1", on=container, ok=False)
        assert volumes.take_in("green")["description"] == ""


def versions(cloud: Cloud) -> list[str]:
    """Of objects, as each service has noted them."""
    return cloud.sql("SELECT `binary`, object_current_version FROM services ORDER BY id", "cinder").splitlines()


def test_production_starts_after_services_that_have_noted_a_version_that_it_does_not_know(
    cloud: Cloud, desk: Desk, volumes: Volumes
) -> None:
    with at_api(cloud, desk) as api, at_volumes(cloud, desk) as at:
        before, places = versions(cloud), {"cinder-volume": at, "cinder-scheduler": api}
        for service, place in places.items():
            take_over(cloud, desk, service, place)
        source = checkout(cloud, desk) / OBJECTS
        desk.edit(source, REGISTRY, f"\nOBJ_VERSIONS.add('9.0', {{}}){REGISTRY}")
        for service, place in places.items():
            desk.devswap("run", service, "--machine", place, "--detach")
        noted = [line.split("\t") for line in versions(cloud)]
        assert {version for service, version in noted if service in places} == {"9.0"}
        desk.edit(source, f"\nOBJ_VERSIONS.add('9.0', {{}}){REGISTRY}", REGISTRY)
        for service, place in places.items():
            give_back(desk, service, place)
        assert versions(cloud) == before
        assert volumes.create("green")["metadata"] == {}


def test_a_breakpoint_in_a_greenthread_of_a_forked_worker_has_a_prompt(
    cloud: Cloud, desk: Desk, volumes: Volumes
) -> None:
    with at_volumes(cloud, desk) as container:
        take_over(cloud, desk, "cinder-volume", container)
        source = checkout(cloud, desk) / MANAGER
        desk.edit(source, KEPT, f"        breakpoint()\n{KEPT}")
        terminal = desk.terminal("run", "cinder-volume", "--machine", container)
        terminal.expect("answers from")
        number = volumes.begin("debugged")
        terminal.expect(r"has stopped;")
        terminal.expect(PROMPT)
        terminal.sendline("p volume.display_name + 'here'")
        terminal.expect("'debuggedhere'")
        terminal.expect(PROMPT)
        terminal.sendcontrol("c")
        terminal.expect(PROMPT)
        for _ in range(2):
            terminal.sendline("n")
            terminal.expect(r"manager\.py\(\d+\)create_volume\(\)")
            terminal.expect(PROMPT)
        terminal.sendline("p original_host == volume.host, 6 * 7")
        terminal.expect(r"\(True, 42\)")
        terminal.expect(PROMPT)
        assert volumes.shown(number)["status"] == "creating"
        terminal.sendline("c")
        assert volumes.made(number)["metadata"].keys() == {"volume"}
        stop(terminal)
        assert cloud.sh("pgrep -u cinder -f cinder-volume || true", on=container) == ""
        desk.edit(source, f"        breakpoint()\n{KEPT}", KEPT)
        give_back(desk, "cinder-volume", container)
