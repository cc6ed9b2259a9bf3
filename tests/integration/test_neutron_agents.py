"""neutron's agents in a sandbox, which run commands as root: who has made what there is, is seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.added import give_back, take_over
from tests.integration.cloud import Cloud, wait_until
from tests.integration.networks import Networks, at_agents, be_patient, networks_of, subnet
from tests.integration.people import Desk, Person

pytestmark = [pytest.mark.sandbox, pytest.mark.added("neutron"), pytest.mark.eras("current")]

# Production's rootwrap, and the one that sudo lets development have, asked as the agent's user.
_AS_AGENT = "setpriv --reuid=neutron --regid=neutron --init-groups"
_MAY = f'{_AS_AGENT} sudo -n "$@" 2>&1'


@pytest.fixture(autouse=True)
def patient(people: tuple[Person, Person]) -> None:
    be_patient(people[0])


@pytest.fixture
def networks(cloud: Cloud) -> Iterator[Networks]:
    with networks_of(cloud) as found:
        yield found


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
        wait_until(lambda: networks.metadata(red["id"]) == "", "production's agent answers", seconds=180)
        shown = take_over(cloud, desk, "neutron-metadata-agent", container)
        wait_until(lambda: networks.metadata(red["id"]) == shown, "the checkout answers", seconds=180)
        give_back(desk, "neutron-metadata-agent", container)
        wait_until(lambda: networks.metadata(red["id"]) == "", "production's agent answers", seconds=180)
        networks.delete_all()


def test_what_a_router_carries_is_counted_by_the_checkouts_agent_and_by_productions_again(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_agents(cloud, desk) as container:
        blue, router = networks.network("blue", 109), networks.create("router", name="blue")
        networks.ask("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet(networks, blue)})
        wait_until(lambda: networks.names(f"qrouter-{router['id']}"), "the router has a namespace", seconds=180)
        shown = take_over(cloud, desk, "neutron-metering-agent", container)
        label = networks.metered("red")
        wait_until(lambda: networks.counted_by(router["id"]) == [shown], "the checkout counts", seconds=180)
        wait_until(
            lambda: networks.says("neutron-metering-agent", "reported") == shown, "the checkout reports", seconds=180
        )
        networks.ask("DELETE", f"metering/metering-labels/{label}")
        wait_until(lambda: networks.counted_by(router["id"]) == [], "the checkout does not count", seconds=180)
        give_back(desk, "neutron-metering-agent", container)
        assert networks.processes("/run/devswap/") == []
        wait_until(
            lambda: networks.says("neutron-metering-agent", "reported") is None, "production reports", seconds=180
        )
        label = networks.metered("green")
        wait_until(lambda: networks.counted_by(router["id"]) == [""], "production counts", seconds=180)
        networks.ask("DELETE", f"metering/metering-labels/{label}")
        networks.delete_all()


def test_an_agent_of_cards_with_virtual_functions_reports_from_the_checkout_where_there_is_no_card(
    cloud: Cloud, desk: Desk, networks: Networks
) -> None:
    with at_agents(cloud, desk) as container:
        shown = take_over(cloud, desk, "neutron-sriov-nic-agent", container)
        wait_until(
            lambda: networks.says("neutron-sriov-nic-agent", "reported") == shown, "the checkout reports", seconds=180
        )
        assert networks.says("neutron-sriov-nic-agent", "device_mappings") == {}
        give_back(desk, "neutron-sriov-nic-agent", container)
        wait_until(
            lambda: networks.says("neutron-sriov-nic-agent", "reported") is None, "production reports", seconds=180
        )


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
