"""neutron of a sandbox as its users see it, with agents that run commands as root: who has made what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.integration.added import ask, whole
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk, Person

SERVERS = ["neutron-server", "neutron-rpc-server", "neutron-periodic-workers"]
AGENTS = [
    "neutron-dhcp-agent",
    "neutron-l3-agent",
    "neutron-metadata-agent",
    "neutron-metering-agent",
    "neutron-openvswitch-agent",
    "neutron-sriov-nic-agent",
]
# What a process of a network was started with, and the devices of its namespace.
_TAGS = 'for p in $(pgrep dnsmasq); do grep -aq "$1" /proc/$p/cmdline && tr "\\0" "\\n" </proc/$p/environ; done; true'
_ALIASES = 'ip -json -netns "$1" -details link show'
# What is asked for at the address of metadata, from a network and one of its addresses.
_METADATA = 'ip netns exec "$1" curl -sS --include --max-time 20 --interface "$2" http://169.254.169.254/'


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

    def metadata(self, network: str) -> str | None:
        """By which agent somebody in it is answered: nothing behind production's; None where none answers.

        It says that there is no nova, or passes on what that says.
        """
        (port,) = self.ports(network_id=network, device_owner="network:dhcp")
        address = port["fixed_ips"][0]["ip_address"]
        said = self.cloud.sh(_METADATA, f"qdhcp-{network}", address, on=self.agents_at, ok=False)
        if not re.search(r"temporarily unavailable|^latest", said, re.MULTILINE):
            return None
        by = re.search(r"^x-metadata-change: (\S+)", said, re.MULTILINE | re.IGNORECASE)
        return by[1] if by else ""

    def counted_by(self, router: str) -> list[str]:
        """The marks of the rules by which what it carries is counted; production's have none."""
        rules = self.cloud.sh(f"ip netns exec qrouter-{router} iptables-save -t filter", on=self.agents_at).splitlines()
        counts = [rule for rule in rules if rule.startswith("-A neutron-meter-l-")]
        return [mark[1] if (mark := re.search(r'--comment "?([^" ]+)', rule)) else "" for rule in counts]

    def processes(self, name: str) -> list[str]:
        """Number and command line of each whose command line has it, but for those that only start it as root."""
        said = self.cloud.sh(f"pgrep -af '[{name[0]}]{name[1:]}' || true", on=self.agents_at).splitlines()
        return [line for line in said if name.startswith("/") or "rootwrap" not in line]

    def agent(self, binary: str) -> dict[str, Any]:
        return next(each for each in self.listed("agent") if each["binary"] == binary)

    def says(self, binary: str, key: str) -> Any:
        """What an agent's last report has of it."""
        return self.agent(binary)["configurations"].get(key)

    def names(self, namespace: str) -> bool:
        listed = self.cloud.sh("ip netns list", on=self.agents_at).split()
        return namespace in listed

    def metered(self, name: str) -> str:
        """The number of a new label by which what routers carry is counted."""
        asked = {"metering_label": {"name": name}}
        made: str = self.ask("POST", "metering/metering-labels", asked)["metering_label"]["id"]
        return made

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
        for label in self.ask("GET", "metering/metering-labels")["metering_labels"]:
            self.ask("DELETE", f"metering/metering-labels/{label['id']}")
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


def be_patient(person: Person) -> None:
    """What neutron imports takes half a minute where the machine has much else to do."""
    settings = person.home / ".config/devswap/config.toml"
    person.run("mkdir", "-p", str(settings.parent))
    person.run("sh", "-c", f"echo wait = 180 >{settings}")


@contextmanager
def networks_of(cloud: Cloud) -> Iterator[Networks]:
    """Nothing of them is left afterwards, as production's own agents see to."""
    made = Networks(cloud)
    wait_until(lambda: made.ask("GET", "networks", ok=False) is not None, "neutron-server answers", seconds=90)
    wait_until(lambda: all(made.agent(each)["alive"] for each in AGENTS), "the agents are alive", seconds=90)
    # the first namespace leaves a folder behind, which is no difference that a swap has made
    cloud.sh("ip netns add integration && ip netns delete integration", on=made.agents_at)
    made.delete_all()
    yield made
    made.delete_all()


def router_owners(router: dict[str, Any]) -> str:
    return "network:ha_router_replicated_interface" if router.get("ha") else "network:router_interface"


def subnet(networks: Networks, network: dict[str, Any]) -> str:
    found: str = next(each["id"] for each in networks.listed("subnet") if each["network_id"] == network["id"])
    return found
