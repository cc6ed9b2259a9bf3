"""neutron of a sandbox, with agents that run commands as root: who shows, hears of and makes each is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from devswap.sandbox.changes import MIGRATION, NEW_REVISIONS_OF_NEUTRON
from tests.integration.added import ask, give_back, take_over, whole
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk, Person

pytestmark = [pytest.mark.sandbox, pytest.mark.added("neutron"), pytest.mark.eras("current")]

SERVERS = ["neutron-server", "neutron-rpc-server", "neutron-periodic-workers"]
AGENTS = ["neutron-dhcp-agent", "neutron-l3-agent", "neutron-metadata-agent", "neutron-openvswitch-agent"]
REVISIONS = "SELECT version_num FROM alembic_version ORDER BY 1"
# What a process of a network was started with, and the devices of its namespace.
_TAGS = 'for p in $(pgrep dnsmasq); do grep -aq "$1" /proc/$p/cmdline && tr "\\0" "\\n" </proc/$p/environ; done; true'
_ALIASES = 'ip -json -netns "$1" -details link show'
# Production's rootwrap, and the one that sudo lets development have, asked as the agent's user.
_MAY = 'setpriv --reuid=neutron --regid=neutron --init-groups sudo -n "$@" 2>&1'


def at_server(cloud: Cloud, desk: Desk) -> AbstractContextManager[str]:
    return whole(cloud, desk, "neutron", SERVERS, "neutron-server")


def at_agents(cloud: Cloud, desk: Desk) -> AbstractContextManager[str]:
    return whole(cloud, desk, "neutron", AGENTS, "neutron-agents")


@dataclass(frozen=True)
class Networks:
    """Somebody's."""

    cloud: Cloud

    @property
    def agents_at(self) -> str:
        return self.cloud.container("-neutron-agents-")

    def ask(self, verb: str, path: str, body: object = None, *, ok: bool = True) -> Any:
        return ask(self.cloud, "network", verb, f"/v2.0/{path}", body, ok=ok)

    def create(self, kind: str, **values: object) -> dict[str, Any]:
        made: dict[str, Any] = self.ask("POST", f"{kind}s", {kind: values})[kind]
        return made

    def network(self, name: str, number: int) -> dict[str, Any]:
        """With a subnet of its own, so that there is somebody to give out its addresses."""
        made = self.create("network", name=name)
        self.create("subnet", network_id=made["id"], ip_version=4, cidr=f"10.{number}.0.0/24")
        return made

    def listed(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"{kind}s")[f"{kind}s"]
        return found

    def agent(self, binary: str) -> dict[str, Any]:
        return next(each for each in self.listed("agent") if each["binary"] == binary)

    def says(self, binary: str, key: str) -> str | None:
        """What an agent's last report has of it."""
        said: str | None = self.agent(binary)["configurations"].get(key)
        return said

    def names(self, namespace: str) -> bool:
        listed = self.cloud.sh("ip netns list", on=self.agents_at).split()
        return namespace in listed

    def serves(self, network: str) -> bool:
        """Whether a dnsmasq runs for it."""
        return self.tags(network) != []

    def tags(self, network: str) -> list[str]:
        said = self.cloud.sh(_TAGS, network, on=self.agents_at).splitlines()
        return [line for line in said if "_TAG=" in line]

    def aliases(self, namespace: str) -> set[str]:
        """Of its devices, which privileged code has set up."""
        devices = json.loads(self.cloud.sh(_ALIASES, namespace, on=self.agents_at) or "[]")
        return {each.get("ifalias", "") for each in devices if each["ifname"] != "lo"}

    def delete_all(self) -> None:
        for router in self.listed("router"):
            for port in [port for port in self.listed("port") if port["device_id"] == router["id"]]:
                self.ask("PUT", f"routers/{router['id']}/remove_router_interface", {"port_id": port["id"]})
            self.ask("DELETE", f"routers/{router['id']}")
        for port in [port for port in self.listed("port") if not port["device_owner"]]:
            self.ask("DELETE", f"ports/{port['id']}")
        for network in self.listed("network"):
            self.ask("DELETE", f"networks/{network['id']}")
        nothing = "the agents have taken everything away"
        wait_until(lambda: self.cloud.sh("ip netns list", on=self.agents_at) == "", nothing, seconds=180)


@pytest.fixture(autouse=True)
def patient(people: tuple[Person, Person]) -> None:
    """What neutron imports takes half a minute where the machine has much else to do."""
    ada, settings = people[0], people[0].home / ".config/devswap/config.toml"
    ada.run("mkdir", "-p", str(settings.parent / "services"))
    ada.run("sh", "-c", f"echo wait = 180 >{settings}")
    lifted = "".join(f'[service.{agent}]\\nunsupported = ""\\n' for agent in AGENTS)
    ada.run("sh", "-c", f"printf 'project = \"neutron\"\\n{lifted}' >{settings.parent}/services/neutron.toml")


@pytest.fixture
def networks(cloud: Cloud) -> Iterator[Networks]:
    """Nothing of them is left afterwards, as production's own agents see to."""
    made = Networks(cloud)
    wait_until(lambda: made.ask("GET", "networks", ok=False) is not None, "neutron-server answers", seconds=90)
    wait_until(lambda: all(made.agent(each)["alive"] for each in AGENTS), "the agents are alive", seconds=90)
    # the first namespace leaves a folder behind, which is no difference that a swap has made
    cloud.sh("ip netns add integration && ip netns delete integration", on=made.agents_at)
    made.delete_all()
    yield made
    made.delete_all()


def test_networks_are_answered_by_the_checkout_and_agents_heard_by_it_and_by_production_again(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_server(cloud, desk) as container:
        assert networks.create("network", name="red")["name"] == "red"
        shown = take_over(cloud, desk, "neutron-server", container)
        blue = networks.create("network", name="blue")
        port = networks.create("port", network_id=blue["id"], name="eth0")
        assert (blue["name"], port["name"]) == (f"blue ({shown})", f"eth0 ({shown})")
        assert networks.says("neutron-l3-agent", "heard") is None
        take_over(cloud, desk, "neutron-rpc-server", container)
        wait_until(
            lambda: networks.says("neutron-l3-agent", "heard") == shown, "the checkout hears of an agent", seconds=180
        )
        for service in ("neutron-rpc-server", "neutron-server"):
            give_back(desk, service, container)
        wait_until(
            lambda: networks.says("neutron-l3-agent", "heard") is None, "production hears of an agent", seconds=180
        )
        assert networks.create("port", network_id=blue["id"], name="eth1")["name"] == "eth1"
        assert {network["name"] for network in networks.listed("network")} == {"red", "blue"}


def test_both_branches_of_migrations_are_what_they_were_after_one_of_each(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_server(cloud, desk) as container:
        networks.create("network", name="red")
        schema, heads = cloud.schema("neutron"), cloud.sql(REVISIONS, "neutron").split()
        take_over(cloud, desk, "neutron-server", container, MIGRATION)
        assert len(heads) == 2
        assert sorted(cloud.sql(REVISIONS, "neutron").split()) == sorted(NEW_REVISIONS_OF_NEUTRON)
        networks.create("network", name="blue")
        give_back(desk, "neutron-server", container)
        assert (cloud.schema("neutron"), cloud.sql(REVISIONS, "neutron").split()) == (schema, heads)
        assert networks.create("network", name="green")["name"] == "green"


def test_what_the_dhcp_agent_does_as_root_is_the_checkouts_code_and_productions_again(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_agents(cloud, desk) as container:
        red = networks.network("red", 101)
        wait_until(lambda: networks.serves(red["id"]), "there is a dnsmasq for red", seconds=180)
        assert networks.tags(red["id"]) == [f"PROCESS_TAG=dnsmasq-{red['id']}"]
        assert networks.aliases(f"qdhcp-{red['id']}") == {""}
        shown = take_over(cloud, desk, "neutron-dhcp-agent", container)
        wait_until(
            lambda: networks.says("neutron-dhcp-agent", "reported") == shown, "the checkout reports", seconds=180
        )
        blue = networks.network("blue", 102)
        wait_until(lambda: networks.serves(blue["id"]), "there is a dnsmasq for blue", seconds=180)
        # by the checkout's filters: production's rootwrap would not let it have that variable
        assert f"CHANGE_TAG={shown}" in networks.tags(blue["id"])
        assert networks.aliases(f"qdhcp-{blue['id']}") == {shown}
        helpers = cloud.sh("pgrep -u root -af privsep-helper | grep dhcp_agent.ini", on=container)
        assert "/run/devswap/neutron-dhcp-agent/hooks/bin/privsep-helper" in helpers
        assert "/openstack/venvs" not in helpers
        give_back(desk, "neutron-dhcp-agent", container)
        green = networks.network("green", 103)
        wait_until(lambda: networks.serves(green["id"]), "there is a dnsmasq for green", seconds=180)
        assert networks.tags(green["id"]) == [f"PROCESS_TAG=dnsmasq-{green['id']}"]
        assert networks.aliases(f"qdhcp-{green['id']}") == {""}
        wait_until(lambda: networks.says("neutron-dhcp-agent", "reported") is None, "production reports", seconds=180)
        networks.delete_all()


def test_sudo_allows_an_agents_user_what_its_swap_needs_and_only_as_long(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    own = "/run/devswap/neutron-dhcp-agent/hooks"
    asked = (f"{own}/bin/neutron-rootwrap", f"{own}/rootwrap.conf", "ip", "netns", "list")
    with at_agents(cloud, desk) as container:
        take_over(cloud, desk, "neutron-dhcp-agent", container)
        cloud.sh(_MAY, *asked, on=container)
        refused = cloud.sh(_MAY, *asked[:2], "env", "PROCESS_TAG=x", "dnsmasq", "--version", on=container, ok=False)
        assert "Unauthorized command" in refused
        both = ("env", "PROCESS_TAG=x", "CHANGE_TAG=y", "dnsmasq", "--version")
        assert "Dnsmasq version" in cloud.sh(_MAY, *asked[:2], *both, on=container)
        assert "password is required" in cloud.sh(_MAY, f"{own}/bin/neutron-rootwrap", "/x", on=container, ok=False)
        cloud.sh("visudo --check --quiet", on=container)
        give_back(desk, "neutron-dhcp-agent", container)
        assert "password is required" in cloud.sh(_MAY, *asked, on=container, ok=False)


def test_a_router_is_made_by_the_checkouts_l3_agent_and_outlives_it(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_agents(cloud, desk) as container:
        shown = take_over(cloud, desk, "neutron-l3-agent", container)
        blue, router = networks.network("blue", 104), networks.create("router", name="blue")
        networks.ask("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet(networks, blue)})
        namespace = f"qrouter-{router['id']}"
        wait_until(lambda: networks.names(namespace), "the router has a namespace", seconds=180)
        wait_until(lambda: shown in networks.aliases(namespace), "the router has a device", seconds=180)
        wait_until(lambda: networks.says("neutron-l3-agent", "reported") == shown, "the checkout reports", seconds=180)
        give_back(desk, "neutron-l3-agent", container)
        assert networks.names(namespace)
        wait_until(lambda: networks.says("neutron-l3-agent", "reported") is None, "production reports", seconds=180)
        networks.delete_all()


def subnet(networks: Networks, network: dict[str, Any]) -> str:
    found: str = next(each["id"] for each in networks.listed("subnet") if each["network_id"] == network["id"])
    return found
