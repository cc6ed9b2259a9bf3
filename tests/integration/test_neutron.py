"""neutron of a sandbox, with agents that run commands as root: who shows, hears of and makes each is seen."""

from __future__ import annotations

import json
import re
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
_AS_AGENT = "setpriv --reuid=neutron --regid=neutron --init-groups"
_MAY = f'{_AS_AGENT} sudo -n "$@" 2>&1'
# What is asked for at the address of metadata, from a network and one of its addresses.
_METADATA = 'ip netns exec "$1" curl -sS --max-time 20 --interface "$2" http://169.254.169.254/'


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

    def ports(self, **wanted: str) -> list[dict[str, Any]]:
        return [port for port in self.listed("port") if all(port[key] == value for key, value in wanted.items())]

    def wired(self, network: str) -> tuple[str, str | None]:
        """Of the port that gives out its addresses: its status, and what the agent of layer 2 has noted at it."""
        (port,) = self.ports(network_id=network, device_owner="network:dhcp")
        asked = ["ovs-vsctl", "--if-exists", "get", "Port", f"tap{port['id'][:11]}", "other_config"]
        noted = re.search(r'change="([^"]+)"', self.cloud.run(asked, on=self.agents_at).stdout)
        return port["status"], noted[1] if noted else None

    def metadata(self, network: str) -> str:
        """What somebody in it is told, by whoever answers there."""
        (port,) = self.ports(network_id=network, device_owner="network:dhcp")
        address = port["fixed_ips"][0]["ip_address"]
        return self.cloud.sh(_METADATA, f"qdhcp-{network}", address, on=self.agents_at, ok=False)

    def processes(self, name: str) -> list[str]:
        """Number and command line of each whose command line has it, but for those that only start it as root."""
        said = self.cloud.sh(f"pgrep -af '[{name[0]}]{name[1:]}' || true", on=self.agents_at).splitlines()
        return [line for line in said if name.startswith("/") or "rootwrap" not in line]

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
            for port in self.ports(device_id=router["id"], device_owner=router_owners(router)):
                self.ask("PUT", f"routers/{router['id']}/remove_router_interface", {"port_id": port["id"]})
            self.ask("DELETE", f"routers/{router['id']}")
        for port in [port for port in self.listed("port") if not port["device_owner"]]:
            self.ask("DELETE", f"ports/{port['id']}")
        for network in self.listed("network"):
            self.ask("DELETE", f"networks/{network['id']}", ok=False)  # that of routers goes with the last of them
        nothing = "the agents have taken everything away"
        wait_until(lambda: self.cloud.sh("ip netns list", on=self.agents_at) == "", nothing, seconds=180)


@pytest.fixture(autouse=True)
def patient(people: tuple[Person, Person]) -> None:
    """What neutron imports takes half a minute where the machine has much else to do."""
    ada, settings = people[0], people[0].home / ".config/devswap/config.toml"
    ada.run("mkdir", "-p", str(settings.parent))
    ada.run("sh", "-c", f"echo wait = 180 >{settings}")


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
        helper = ("--privsep_context", "neutron.privileged.default", "--privsep_sock_path", "/tmp/x/privsep.sock")
        for words in (
            ("--config-file", "/tmp/x.conf", *helper),
            ("--config-file", "/etc/neutron/neutron.conf", "--privsep_context", "os.system", *helper[2:]),
        ):
            # rootwrap lets everybody have that helper, with any arguments
            refused = cloud.sh(_MAY, *asked[:2], "privsep-helper", *words, on=container, ok=False)
            assert "not with these arguments" in refused
            assert "password is required" in cloud.sh(_MAY, f"{own}/bin/privsep-helper", *words, on=container, ok=False)
        assert cloud.sh(f"{_AS_AGENT} find /etc/sudoers.d {own} -writable 2>/dev/null || true", on=container) == ""
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
        assert networks.processes("/run/devswap/") == []
        wait_until(lambda: networks.says("neutron-l3-agent", "reported") is None, "production reports", seconds=180)
        networks.delete_all()


def test_what_a_router_needs_goes_on_and_what_runs_the_checkout_as_root_does_not_outlive_it(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    monitor = "neutron-keepalived-state-change"
    with at_agents(cloud, desk) as container:
        take_over(cloud, desk, "neutron-l3-agent", container)
        red, router = networks.network("red", 105), networks.create("router", name="red", ha=True)
        networks.ask("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet(networks, red)})
        wait_until(lambda: networks.processes(f"{monitor} ") != [], "somebody watches keepalived", seconds=180)
        wait_until(lambda: networks.processes("keepalived -P") != [], "keepalived runs", seconds=60)
        keepalived = networks.processes("keepalived -P")
        assert all("/run/devswap/neutron-l3-agent/" in line for line in networks.processes(f"{monitor} "))
        # its unit has KillMode=process: a stop of it leaves both
        cloud.sh("systemctl stop neutron-l3-agent", on=container)
        assert networks.processes(f"{monitor} ") != []
        give_back(desk, "neutron-l3-agent", container)
        assert networks.processes("/run/devswap/") == []
        assert networks.processes("keepalived -P") == keepalived
        wait_until(lambda: networks.processes(f"{monitor} ") != [], "production watches keepalived", seconds=180)
        assert all("/openstack/venvs/" in line for line in networks.processes(f"{monitor} "))
        networks.delete_all()


def test_metadata_is_answered_by_the_checkouts_agent_and_by_productions_again(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_agents(cloud, desk) as container:
        red = networks.network("red", 106)
        wait_until(lambda: networks.serves(red["id"]), "there is a dnsmasq for red", seconds=180)
        wait_until(lambda: "Unavailable" in networks.metadata(red["id"]), "production's agent answers", seconds=180)
        assert "Unavailable by" not in networks.metadata(red["id"])
        shown = take_over(cloud, desk, "neutron-metadata-agent", container)
        wait_until(lambda: f"by {shown}" in networks.metadata(red["id"]), "the checkout answers", seconds=180)
        give_back(desk, "neutron-metadata-agent", container)
        wait_until(lambda: "Unavailable" in networks.metadata(red["id"]), "production's agent answers", seconds=180)
        assert "Unavailable by" not in networks.metadata(red["id"])
        networks.delete_all()


def test_a_port_is_wired_by_the_checkouts_agent_of_layer_2_and_by_productions_again(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_agents(cloud, desk) as container:
        shown = take_over(cloud, desk, "neutron-openvswitch-agent", container)
        blue = networks.network("blue", 107)
        wait_until(lambda: networks.serves(blue["id"]), "there is a dnsmasq for blue", seconds=180)
        wait_until(lambda: networks.wired(blue["id"]) == ("ACTIVE", shown), "the checkout has wired it", seconds=180)
        give_back(desk, "neutron-openvswitch-agent", container)
        assert networks.processes("/run/devswap/") == []
        assert networks.wired(blue["id"])[0] == "ACTIVE"
        green = networks.network("green", 108)
        wait_until(lambda: networks.serves(green["id"]), "there is a dnsmasq for green", seconds=180)
        wait_until(lambda: networks.wired(green["id"]) == ("ACTIVE", None), "production has wired it", seconds=180)
        networks.delete_all()


def router_owners(router: dict[str, Any]) -> str:
    return "network:ha_router_replicated_interface" if router.get("ha") else "network:router_interface"


def subnet(networks: Networks, network: dict[str, Any]) -> str:
    found: str = next(each["id"] for each in networks.listed("subnet") if each["network_id"] == network["id"])
    return found
