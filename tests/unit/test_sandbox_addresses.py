"""The sandbox takes OSA's own range and names where they are free, and never somebody else's."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from devswap.errors import DevswapError
from devswap.sandbox.addresses import address, free_bridge, free_range
from devswap.sandbox.names import free_prefix

OSA = IPv4Network("172.29.236.0/22")


def test_an_idle_host_gets_the_range_that_openstack_ansible_documents() -> None:
    assert free_range([IPv4Network("192.0.2.0/24"), IPv4Network("10.0.3.0/24")]) == OSA


@pytest.mark.parametrize("taken", ["172.29.236.0/22", "172.29.237.5/32", "172.29.238.0/23"])
def test_a_range_that_is_taken_even_in_part_is_left_alone(taken: str) -> None:
    assert free_range([IPv4Network(taken)]) == IPv4Network("172.29.240.0/22")


def test_a_host_without_a_free_range_is_told_so() -> None:
    with pytest.raises(DevswapError, match="free address range"):
        free_range([IPv4Network("172.16.0.0/12")])


def test_the_last_range_wraps_around_to_the_first() -> None:
    assert free_range([IPv4Network("172.29.236.0/22"), IPv4Network("172.29.240.0/20")]) == IPv4Network("172.29.0.0/22")


def test_addresses_count_from_the_start_of_the_range() -> None:
    assert str(address(OSA, 101)) == "172.29.236.101"


def test_a_second_cloud_gets_its_own_bridge_with_a_name_that_the_kernel_takes() -> None:
    assert free_bridge(["lo", "eth0"]) == "br-mgmt"
    second = free_bridge(["br-mgmt", "br-mgmt2"])
    assert second == "br-mgmt3"
    assert len(second) < 16  # IFNAMSIZ


def test_a_prefix_that_another_cloud_uses_is_left_to_it() -> None:
    others = ["aio1_heat_engine_container-36e270c9", "aio2-galera-container-00000000", "web"]
    assert free_prefix(others) == "aio3"
    assert free_prefix(["web", "aio10-x"], "aio1") == "aio1"
    assert free_prefix(others, "aio7") == "aio7"
