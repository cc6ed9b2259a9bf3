"""nova of a sandbox, whose servers are real but for the hypervisor: who has placed, made and shown each is seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from devswap.sandbox.changes import MIGRATION
from tests.integration.added import ask, create_image, give_back, openstack, take_over, whole
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.test_foreground import PROMPT, stop
from tests.integration.through_haproxy import address

pytestmark = [pytest.mark.sandbox, pytest.mark.added("nova"), pytest.mark.eras("current")]

# Unit by service.
UNITS = {"nova-api": "nova-api-os-compute", "nova-conductor": "nova-conductor", "nova-scheduler": "nova-scheduler"}
METADATA = "nova-api-metadata"
CONSOLES = {"nova-novncproxy": 6080, "nova-spicehtml5proxy": 6082, "nova-serialproxy": 6083}
# What a server is told of itself, asked as neutron's agent of metadata does it on its behalf; all comes over stdin.
_ASK_METADATA = """
import hashlib, hmac, json, sys, urllib.request
url, server, project, secret = json.load(sys.stdin)
signed = hmac.new(secret.encode(), server.encode(), hashlib.sha256).hexdigest()
headers = {"X-Instance-ID": server, "X-Tenant-ID": project, "X-Instance-ID-Signature": signed}
headers["X-Forwarded-For"] = "10.1.0.5"
asked = urllib.request.Request(url + "/openstack/latest/meta_data.json", headers=headers)
print(urllib.request.urlopen(asked, timeout=60).read().decode())
"""
DATABASES = ("nova_api", "nova_cell0", "nova", "nova_cell2")
# As large as the first was when it was new. Nobody works in it.
_ADD_CELL = """
set -e
mariadb -e "CREATE DATABASE nova_cell2; GRANT ALL ON nova_cell2.* TO nova@'%'"
{ mariadb-dump --no-data nova; mariadb-dump --no-create-info nova alembic_version; } | mariadb nova_cell2
mariadb nova_api -e "INSERT INTO cell_mappings (uuid, name, transport_url, database_connection, disabled)
    SELECT UUID(), 'cell2', transport_url, REPLACE(database_connection, '/nova?', '/nova_cell2?'), 1
    FROM cell_mappings WHERE name = 'cell1'"
"""
_REMOVE_CELL = """
mariadb -e "DELETE FROM nova_api.cell_mappings WHERE name = 'cell2'; REVOKE ALL ON nova_cell2.* FROM nova@'%';
DROP DATABASE nova_cell2"
"""
_NO_NETWORK = "2.37"
FLAVOR = "integration"
WRITTEN = "/var/lib/nova/instances/written"


@dataclass(frozen=True)
class Compute:
    """Somebody's servers."""

    cloud: Cloud
    image: str

    def ask(self, verb: str, path: str, body: object = None, *, ok: bool = True) -> Any:
        return ask(self.cloud, "compute", verb, path, body, version=_NO_NETWORK, ok=ok)

    def create(self, name: str) -> dict[str, Any]:
        """A server as its owner sees it once it is built."""
        wanted = {"name": name, "imageRef": self.image, "flavorRef": FLAVOR, "networks": "none"}
        number = self.ask("POST", "/servers", {"server": wanted})["server"]["id"]
        wait_until(lambda: self.server(number)["status"] != "BUILD", f"{name} is built")
        made = self.server(number)
        assert made["status"] == "ACTIVE", made
        return made

    def server(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/servers/{number}")["server"]
        return found

    def told(self, server: dict[str, Any]) -> dict[str, Any]:
        """What it is told of itself, through HAProxy."""
        api = self.cloud.container("-nova-api-")
        secret = self.cloud.sh("sed -n 's/^metadata_proxy_shared_secret = //p' /etc/nova/nova.conf", on=api)
        asked = json.dumps([f"http://{address(self.cloud)}:8775", server["id"], server["tenant_id"], secret])
        said: dict[str, Any] = json.loads(self.cloud.run(["python3", "-c", _ASK_METADATA], on=api, text=asked).stdout)
        return said

    def numbers(self) -> list[str]:
        return [server["id"] for server in self.ask("GET", "/servers")["servers"]]


@pytest.fixture
def compute(cloud: Cloud) -> Iterator[Compute]:
    """With an image and a flavor; nothing of it is left afterwards, as production's own services see to."""
    wait_until(lambda: ask(cloud, "compute", "GET", "/servers", ok=False) is not None, "nova-api answers", seconds=90)
    made = Compute(cloud, create_image(cloud, "integration"))
    flavor = {"id": FLAVOR, "name": FLAVOR, "ram": 64, "vcpus": 1, "disk": 1}
    made.ask("POST", "/flavors", {"flavor": flavor})
    yield made
    for number in made.numbers():
        made.ask("DELETE", f"/servers/{number}")
    wait_until(lambda: made.numbers() == [], "the servers are deleted")
    made.ask("DELETE", f"/flavors/{FLAVOR}")
    openstack(cloud, "image", "delete", made.image)


@pytest.fixture
def second_cell(cloud: Cloud) -> Iterator[None]:
    """One that `nova-manage db sync` does not reach; who has been started beside it would go on asking it."""
    on = cloud.container("-galera-")
    cloud.sh(_ADD_CELL, on=on)
    yield
    cloud.sh(_REMOVE_CELL, on=on)
    cloud.sh("systemctl restart nova-api-os-compute nova-api-metadata nova-conductor", on=cloud.container("-nova-api-"))


def versions(cloud: Cloud) -> dict[str, str]:
    """What each service has said that its version is."""
    rows = cloud.sql("SELECT host, `binary`, version FROM services WHERE deleted = 0", "nova").splitlines()
    return {" ".join(row.split("\t")[:2]): row.split("\t")[2] for row in rows}


def test_servers_are_placed_and_made_and_shown_by_the_checkout_and_by_production_again(
    cloud: Cloud, desk: Desk, compute: Compute
) -> None:
    with whole(cloud, desk, "nova", list(UNITS.values()), "nova-api") as container:
        first = compute.create("red")
        assert (first["name"], first["metadata"]) == ("red", {})
        shown = [take_over(cloud, desk, service, container) for service in UNITS][-1]
        second = compute.create("blue")
        assert (second["name"], second["metadata"]) == (f"blue ({shown})", {"conductor": shown})
        log = desk.devswap("logs", "nova-scheduler", "--machine", container, "--grep", "Placing", "-n", "1000").stdout
        assert f"Placing {second['id']} by {shown}" in log
        for service in UNITS:
            give_back(desk, service, container)
        third = compute.create("green")
        assert (third["name"], third["metadata"]) == ("green", {})
        assert compute.server(second["id"])["name"] == "blue"


@pytest.mark.usefixtures("second_cell")
def test_four_databases_and_the_versions_of_services_are_what_they_were_after_a_migration(
    cloud: Cloud, desk: Desk, compute: Compute
) -> None:
    with whole(cloud, desk, "nova", list(UNITS.values()), "nova-api") as container:
        compute.create("red")
        schemas, before = {name: cloud.schema(name) for name in DATABASES}, versions(cloud)
        take_over(cloud, desk, "nova-conductor", container, MIGRATION)
        assert all(cloud.schema(name) != schema for name, schema in schemas.items())
        compute.create("blue")
        assert versions(cloud) != before
        give_back(desk, "nova-conductor", container)
        assert {name: cloud.schema(name) for name in DATABASES} == schemas
        assert versions(cloud) == before
        compute.create("green")


def test_a_server_is_spawned_by_the_compute_service_of_the_checkout_and_by_productions_again(
    cloud: Cloud, desk: Desk, compute: Compute
) -> None:
    with whole(cloud, desk, "nova", ["nova-compute"], "nova-compute") as container:
        before = versions(cloud)
        shown = take_over(cloud, desk, "nova-compute", container)
        assert compute.create("blue")["metadata"] == {"compute": shown}
        # written as root, by the checkout's code: through sudo, rootwrap and privsep's helper
        assert cloud.sh(f"cat {WRITTEN}; stat --format=' %U' {WRITTEN}", on=container) == f"blue by {shown} root"
        at_prompts(desk, compute, container)
        give_back(desk, "nova-compute", container)
        cloud.sh(f"rm {WRITTEN}", on=container)
        assert compute.create("green")["metadata"] == {}
        assert "No such file" in cloud.sh("ls /etc/sudoers.d/devswap-nova-compute 2>&1", on=container, ok=False)
        assert cloud.sh("pgrep -af '[/]run/devswap/' || true", on=container) == ""
        assert versions(cloud) == before


def test_a_server_is_told_of_itself_by_the_checkout_and_by_production_again(
    cloud: Cloud, desk: Desk, compute: Compute
) -> None:
    with whole(cloud, desk, "nova", [METADATA], "nova-api") as container:
        server = compute.create("red")
        assert (compute.told(server)["uuid"], "said_by" in compute.told(server)) == (server["id"], False)
        shown = take_over(cloud, desk, METADATA, container)
        said = compute.told(server)
        assert (said["uuid"], said["name"], said["said_by"]) == (server["id"], "red", shown)
        give_back(desk, METADATA, container)
        assert "said_by" not in compute.told(server)


@pytest.mark.parametrize("service", CONSOLES)
def test_browsers_are_answered_by_the_proxy_of_consoles_of_the_checkout_and_by_productions_again(
    cloud: Cloud, desk: Desk, service: str
) -> None:
    def answered_by() -> str | None:
        """Nothing: by production's; None: by none of them."""
        asked = ["curl", "-sS", "--include", f"http://{address(cloud)}:{CONSOLES[service]}/"]
        said = cloud.run(asked, on=cloud.container("-utility-"), ok=False).stdout
        by = re.search(r"^X-Console-Change: (\S+)", said, re.MULTILINE | re.IGNORECASE)
        return by[1] if by else "" if "websockify" in said.lower() else None

    with whole(cloud, desk, "nova", [service], "nova-api") as container:
        wait_until(lambda: answered_by() == "", "production's proxy answers", seconds=90)
        shown = take_over(cloud, desk, service, container)
        wait_until(lambda: answered_by() == shown, "the checkout's answers")
        give_back(desk, service, container)
        wait_until(lambda: answered_by() == "", "production's answers again")


def at_prompts(desk: Desk, compute: Compute, container: str) -> None:
    """nova-compute on a terminal, which stops while it builds servers: gone on from by `c`, and by Ctrl-D."""
    stops = ("--break", "nova.compute.manager:ComputeManager._do_build_and_run_instance")
    terminal = desk.terminal("run", "nova-compute", "--machine", container, *stops)
    terminal.timeout = 240  # on a host that is busy with other tests
    terminal.expect("answers from")
    for name, leave in (("red", "c\r"), ("yellow", "\x04")):
        with ThreadPoolExecutor() as beside:
            made = beside.submit(compute.create, name)
            terminal.expect(PROMPT)
            terminal.sendline("p instance.display_name * 2")
            terminal.expect(name * 2)
            terminal.expect(PROMPT)
            terminal.sendcontrol("c")
            terminal.expect(PROMPT)
            assert not made.done()
            terminal.send(leave)
            assert made.result()["status"] == "ACTIVE"
    assert "is stopped, and still swapped" in stop(terminal)


def test_what_pretends_to_be_a_hypervisor_is_known_to_the_cell(compute: Compute) -> None:
    (hypervisor,) = compute.ask("GET", "/os-hypervisors/detail")["hypervisors"]
    assert (hypervisor["hypervisor_type"], hypervisor["state"]) == ("fake", "up")
    assert "nova-compute" in json.dumps(compute.ask("GET", "/os-services"))
