"""Addresses without a process in the machine."""

from __future__ import annotations

from devswap import network
from devswap.service import load_catalogue

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 172.29.244.0
        /22 link UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.1
        /32 host LOCAL
     +-- 172.29.244.0/22 2 0 2
        |-- 172.29.244.101
           /32 host LOCAL
     |-- 172.29.247.255
        /32 link BROADCAST
Local:
        |-- 172.29.244.101
           /32 host LOCAL
"""


def test_the_addresses_are_those_of_interfaces() -> None:
    assert network.own(TRIE) == ["172.29.244.101"]


def test_a_process_that_has_ended_has_none() -> None:
    assert network.addresses(2**22 + 1) == []


def test_keystone_is_looked_for_on_the_ports_of_both_eras() -> None:
    assert set(load_catalogue().get("keystone").ports) == {5000, 35357}
