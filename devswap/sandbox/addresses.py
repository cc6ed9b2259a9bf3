"""Which address range the sandbox takes: OSA's management range if it is free, else the next one of that size."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Network

from devswap import process
from devswap.errors import DevswapError

GATEWAY_OFFSET = 100
_OSA_MANAGEMENT = IPv4Network("172.29.236.0/22")
_OSA_BRIDGE = "br-mgmt"


def candidates() -> Iterator[IPv4Network]:
    """OSA's own management range first, then what lies behind it in 172.29.0.0/16, then before it."""
    blocks = list(IPv4Network("172.29.0.0/16").subnets(new_prefix=22))
    start = blocks.index(_OSA_MANAGEMENT)
    yield from blocks[start:]
    yield from blocks[:start]


def free_range(taken: Collection[IPv4Network]) -> IPv4Network:
    """The first candidate that overlaps none of the host's routes."""
    for network in candidates():
        if not any(network.overlaps(other) for other in taken):
            return network
    raise DevswapError(
        "cannot find a free address range for the sandbox in 172.29.0.0/16",
        hint="ip route  # shows what takes it",
    )


def free_bridge(interfaces: Collection[str]) -> str:
    """OSA's `br-mgmt`, or with a number where the host has one already."""
    if _OSA_BRIDGE not in interfaces:
        return _OSA_BRIDGE
    return next(name for number in range(2, 1000) if (name := f"{_OSA_BRIDGE}{number}") not in interfaces)


def address(network: IPv4Network, offset: int) -> IPv4Address:
    return network.network_address + offset


def routed_networks() -> list[IPv4Network]:
    """Every IPv4 network that the host has a route to, except the default ones (those overlap everything)."""
    routes = json.loads(process.run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout or "[]")
    destinations = [str(route.get("dst", "default")) for route in routes]
    return [IPv4Network(text, strict=False) for text in destinations if text[0].isdigit() and text != "0.0.0.0/0"]


def interface_names() -> list[str]:
    return [str(link["ifname"]) for link in json.loads(process.run(["ip", "-json", "link", "show"]).stdout)]
