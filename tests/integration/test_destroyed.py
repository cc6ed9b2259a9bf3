"""A machine that is destroyed while it is swapped: what was changed of the database and in HAProxy comes back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from devswap.sandbox import changes
from devswap.sandbox.changes import MIGRATION, NEW_REVISION, NEW_REVISIONS_OF_KEYSTONE
from devswap.sandbox.containers import container_root
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.test_haproxy import shown
from tests.integration.test_shared import BOTH
from tests.integration.through_haproxy import FILES, balancer
from tests.integration.web import ask, keystone  # noqa: F401 - a fixture

pytestmark = pytest.mark.sandbox

GONE = "gone with its machine, nothing left to do: "
_BELIEVE = """
import socket, sys
for server in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect("/var/run/haproxy.stat")
        admin.sendall(f"set server {server} health up\\n".encode())
        admin.makefile().read()
"""


@contextmanager
def destroyed(cloud: Cloud, name: str) -> Iterator[None]:
    """LXC knows none of that name any more. At the end there is one again, as a playbook would have made it."""
    folder = container_root() / name
    aside = folder.with_name(f".{name}")  # which LXC does not list
    subprocess.run(["lxc-stop", "-n", name, "--kill"], check=True)
    folder.rename(aside)
    try:
        assert subprocess.run(["lxc-info", "-n", name], capture_output=True, check=False).returncode != 0
        yield
    finally:
        aside.rename(folder)
        subprocess.run(["lxc-start", "-n", name, "--daemon"], check=True)
        asked, states = ["systemctl", "is-system-running"], ("running", "degraded")
        wait_until(lambda: cloud.run(asked, on=name, ok=False).stdout.strip() in states, "it is there again")


def believe(cloud: Cloud, desk: Desk, service: str) -> None:
    """HAProxy takes half a minute to see that one is there again."""
    servers = [f"{server['backend']}/{server['server']}" for server in shown(desk, service)]
    cloud.run(["python3", "-c", _BELIEVE, *servers], on=balancer(cloud))


def keystones(desk: Desk) -> list[str]:
    return [f"{server['backend']} {server['server']} {server['role']}" for server in shown(desk, "keystone_service")]


def test_a_keystone_that_is_destroyed_leaves_its_migration_and_its_place_in_haproxy_to_be_undone(
    cloud: Cloud,
    desk: Desk,
    keystone: str,  # noqa: F811 - the fixture
) -> None:
    on, schema = balancer(cloud), cloud.schema("keystone")
    files, roles = cloud.sh(FILES, on=on), keystones(desk)
    change = changes.change("keystone", MIGRATION, cloud.era)
    desk.devswap("checkout", "keystone", f"review/{change.number}", "--machine", keystone, "--detach")
    assert all(revision in cloud.schema("keystone") for revision in NEW_REVISIONS_OF_KEYSTONE)
    assert (keystones(desk) != roles, cloud.sh(FILES, on=on) != files) == (True, True)
    with destroyed(cloud, keystone):
        (now,) = clouds.swaps(desk.devswap("status", "--json").stdout)
        assert (now["state"], now["healthy"]) == ("machine gone", False)
        given_back = desk.devswap("restore", "keystone", "--machine", keystone)
        assert cloud.schema("keystone") == schema
        assert cloud.sh(FILES, on=on) == files
        assert keystones(desk) == roles
        assert f"its machine is gone: lxc:{keystone}" in given_back.stdout
        assert GONE in given_back.stdout
        assert "loading the database as it was before the migration" in given_back.stderr
        assert "nothing is swapped" in desk.devswap("restore").stdout
        other = next(name for name in cloud.containers if "-keystone-" in name.replace("_", "-") and name != keystone)
        assert ask(cloud, other, 5000).startswith("200 ")
    wait_until(lambda: answers(cloud, keystone), f"{keystone} answers", seconds=120)
    believe(cloud, desk, "keystone_service")


def answers(cloud: Cloud, container: str) -> bool:
    script = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).status)"
    url = f"http://{cloud.containers[container]}:5000/v3"
    return cloud.run(["python3", "-c", script, url], on=container, ok=False).stdout == "200\n"


@pytest.mark.minutes
@pytest.mark.usefixtures("whole")
def test_one_of_two_services_that_share_a_migration_is_destroyed(cloud: Cloud, desk: Desk) -> None:
    """Where both are in one machine, both are."""
    schema, files = cloud.schema(), cloud.sh(FILES, on=balancer(cloud))
    change = f"review/{cloud.change(MIGRATION).number}"
    desk.devswap("checkout", *BOTH, change, "--machine", cloud.heat, "--detach")
    assert NEW_REVISION in cloud.schema()
    with destroyed(cloud, cloud.heat):
        given_back = desk.devswap("restore")
        assert GONE in given_back.stdout
        assert cloud.schema() == schema
        assert cloud.sh(FILES, on=balancer(cloud)) == files
    cloud.wait_for_production()
    cloud.create_stack()


@pytest.mark.minutes
@pytest.mark.usefixtures("whole")
def test_a_machine_that_is_destroyed_ends_the_run_on_a_terminal_with_what_to_type(cloud: Cloud, desk: Desk) -> None:
    schema, change = cloud.schema(), f"review/{cloud.change(MIGRATION).number}"
    terminal = desk.terminal("checkout", "heat-engine", change, "--machine", cloud.heat)
    terminal.expect("answers from")
    with destroyed(cloud, cloud.heat):
        terminal.expect("devswap restore heat-engine")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 3
        assert NEW_REVISION in cloud.schema()
        assert GONE in desk.devswap("restore", "heat-engine").stdout
        assert cloud.schema() == schema
    cloud.wait_for_production()
