"""neutron's agents of OVN, and who looks after its database, in a sandbox: who has made what there is, is seen.

No neutron-server here is configured for OVN, so networks are made in OVN's own database, as ML2/OVN would make them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.added import give_back, take_over, whole
from tests.integration.cloud import Cloud, wait_until
from tests.integration.networks import be_patient
from tests.integration.people import Desk, Person

pytestmark = [pytest.mark.sandbox, pytest.mark.added("neutron"), pytest.mark.eras("current")]

AGENTS = ["neutron-ovn-agent", "neutron-ovn-metadata-agent"]
WORKER = "neutron-ovn-maintenance-worker"
# What it has set in OVN's database for all of it, as neutron is configured, and what the change sets besides.
OPTION, CHANGE = "mac_binding_removal_limit", "neutron_change"
# A network, the port of who answers for metadata, and that of an instance, which is on this host.
_MAKE = """
set -e
net=$1 name=neutron-$1
ovn-nbctl ls-add $name
ovn-nbctl lsp-add $name $net-metadata -- lsp-set-type $net-metadata localport \
    -- lsp-set-addresses $net-metadata 'fa:16:3e:00:00:02 10.9.0.2'
ovn-nbctl set logical_switch_port $net-metadata external_ids:neutron\\\\:device_owner=network:distributed \
    external_ids:neutron\\\\:device_id=ovnmeta-$net external_ids:neutron\\\\:cidrs=10.9.0.2/24
ovn-nbctl lsp-add $name $net-vm -- lsp-set-addresses $net-vm 'fa:16:3e:00:00:05 10.9.0.5'
ovn-nbctl set logical_switch_port $net-vm external_ids:neutron\\\\:cidrs=10.9.0.5/24
ovs-vsctl add-port br-int vm0 -- set interface vm0 type=internal external_ids:iface-id=$net-vm
"""
_REMOVE = "ovs-vsctl --if-exists del-port vm0; ovn-nbctl --if-exists ls-del neutron-$1"
NETWORK = "5b0c6c8e-0d7c-4f0a-9b1e-1f6f0c2d3e4f"


@dataclass(frozen=True)
class Chassis:
    """The host, as OVN's database has it."""

    cloud: Cloud

    @property
    def container(self) -> str:
        return self.cloud.container("-neutron-ovn-")

    def sh(self, script: str, *words: str) -> str:
        return self.cloud.sh(script, *words, on=self.container)

    def says(self, key: str) -> str:
        """What an agent has registered itself with; nothing where there is no such key."""
        find = "ovn-sbctl --bare --columns=_uuid find Chassis_Private | head -n 1"
        return self.sh(f'ovn-sbctl --if-exists get Chassis_Private "$({find})" external_ids:"$1"', f'"{key}"').strip(
            '"'
        )

    def option(self, key: str) -> str:
        """Of OVN as a whole; nothing where nobody has set it."""
        return self.sh('ovn-nbctl --if-exists get NB_Global . options:"$1"', key).strip().strip('"')

    def unset(self, *keys: str) -> None:
        for key in keys:
            self.sh('ovn-nbctl remove NB_Global . options "$1"', key)

    def forget(self, key: str) -> None:
        find = "ovn-sbctl --bare --columns=_uuid find Chassis_Private | head -n 1"
        self.sh(f'ovn-sbctl remove Chassis_Private "$({find})" external_ids "$1"', f'"{key}"')

    def remove(self, who: str) -> None:
        """The network, and with it what an agent has made for it."""
        self.sh(_REMOVE, NETWORK)
        wait_until(lambda: self.sh("ip netns list") == "", f"{who} has taken everything away", seconds=180)

    def aliases(self) -> set[str]:
        """Of the devices by which metadata is answered in the network: privileged code has set them up."""
        said = self.sh('ip -json -netns "ovnmeta-$1" -details link show 2>/dev/null || true', NETWORK)
        return {each.get("ifalias", "") for each in json.loads(said or "[]") if each["ifname"] != "lo"}


@pytest.fixture(autouse=True)
def patient(people: tuple[Person, Person]) -> None:
    be_patient(people[0])


@pytest.fixture
def chassis(cloud: Cloud) -> Iterator[Chassis]:
    """With a network that has an instance on this host; nothing of it is left afterwards."""
    found = Chassis(cloud)
    # each takes away what the other has registered, which was meant to make way for it
    ids = ("neutron:ovn-neutron-agent-id", "neutron:ovn-metadata-id")
    wait_until(lambda: any(found.says(each) for each in ids), "one of the agents has registered itself", seconds=180)
    # the first namespace leaves a folder behind, which is no difference that a swap has made
    found.sh("ip netns add integration && ip netns delete integration")
    found.forget("neutron:change")
    yield found
    found.remove("production")


def test_a_host_is_registered_by_ovns_agent_of_the_checkout_and_by_productions_again(
    cloud: Cloud, desk: Desk, chassis: Chassis
) -> None:
    with whole(cloud, desk, "neutron", AGENTS, "neutron-ovn") as container:
        assert chassis.says("neutron:change") == ""
        shown = take_over(cloud, desk, "neutron-ovn-agent", container)
        wait_until(lambda: chassis.says("neutron:change") == shown, "the checkout has registered itself", seconds=180)
        for key in ("neutron:change", "neutron:ovn-neutron-agent-id"):
            chassis.forget(key)
        give_back(desk, "neutron-ovn-agent", container)
        wait_until(
            lambda: chassis.says("neutron:ovn-neutron-agent-id") != "", "production has registered itself", seconds=180
        )
        assert chassis.says("neutron:change") == ""


def test_metadata_has_devices_that_ovns_agent_of_the_checkout_has_made_and_productions_again(
    cloud: Cloud, desk: Desk, chassis: Chassis
) -> None:
    with whole(cloud, desk, "neutron", AGENTS, "neutron-ovn") as container:
        shown = take_over(cloud, desk, "neutron-ovn-metadata-agent", container)
        chassis.sh(_MAKE, NETWORK)
        wait_until(lambda: chassis.aliases() == {shown}, "the checkout has made devices", seconds=180)
        chassis.remove("the checkout")
        give_back(desk, "neutron-ovn-metadata-agent", container)
        chassis.sh(_MAKE, NETWORK)
        wait_until(lambda: chassis.aliases() == {""}, "production has made devices", seconds=180)
        chassis.remove("production")


def test_what_holds_for_all_of_ovn_is_set_by_the_maintenance_worker_of_the_checkout_and_by_productions_again(
    cloud: Cloud, desk: Desk
) -> None:
    there = Chassis(cloud)
    with whole(cloud, desk, "neutron", [WORKER], "neutron-ovn") as container:
        wait_until(lambda: there.option(OPTION) != "", "production has looked after the database", seconds=180)
        there.unset(OPTION, CHANGE)
        shown = take_over(cloud, desk, WORKER, container)
        wait_until(lambda: there.option(CHANGE) == shown, "the checkout has looked after the database", seconds=180)
        there.unset(OPTION, CHANGE)
        give_back(desk, WORKER, container)
        wait_until(lambda: there.option(OPTION) != "", "production has looked after it again", seconds=180)
        assert there.option(CHANGE) == ""
