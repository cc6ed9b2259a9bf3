"""neutron's servers in a sandbox: who shows networks, hears of agents and tidies up is seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devswap.sandbox.changes import MIGRATION, NEW_REVISIONS_OF_NEUTRON
from tests.integration.added import give_back, take_over
from tests.integration.cloud import Cloud, wait_until
from tests.integration.networks import Networks, at_server, be_patient, networks_of
from tests.integration.people import Desk, Person

pytestmark = [pytest.mark.sandbox, pytest.mark.added("neutron"), pytest.mark.eras("current")]

REVISIONS = "SELECT version_num FROM alembic_version ORDER BY 1"


@pytest.fixture(autouse=True)
def patient(people: tuple[Person, Person]) -> None:
    be_patient(people[0])


@pytest.fixture
def networks(cloud: Cloud) -> Iterator[Networks]:
    with networks_of(cloud) as found:
        yield found


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


def test_what_nobody_has_finished_is_found_and_deleted_by_the_periodic_worker_of_the_checkout(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_server(cloud, desk) as container:
        network = networks.create("network", name="red")["id"]
        shown = take_over(cloud, desk, "neutron-periodic-workers", container)
        unfinished = {"network_id": network, "device_owner": "network:floatingip", "device_id": "PENDING"}
        number = networks.create("port", **unfinished)["id"]
        found: set[str] = set()

        def is_deleted() -> bool:
            ports = [port for port in networks.listed("port") if port["id"] == number]
            found.update(port["description"] for port in ports)
            return not ports

        wait_until(is_deleted, "the port is deleted", seconds=180)
        assert found >= {f"found by {shown}"}
        give_back(desk, "neutron-periodic-workers", container)
