"""The sandbox's own bridge and its way out; every change has its way back here."""

from __future__ import annotations

import re
from pathlib import Path

from devswap import process
from devswap.sandbox.record import Record

_COMMENT = "devswap-sandbox-"
_PREFIX = re.compile(rf"{_COMMENT}(\w+)-")


def any_sandbox_left() -> bool:
    """Whether some sandbox of this host still has its way out, also one whose record is elsewhere."""
    return _COMMENT in _rules_of_all()


def taken_prefixes() -> set[str]:
    """The prefixes of all sandboxes of this host that have their way out, also of those without a container yet."""
    return set(_PREFIX.findall(_rules_of_all()))


def _rules_of_all() -> str:
    return process.run(["iptables", "--wait", "-t", "nat", "-S"], ok=(0, 1, 3)).stdout


def _rules(record: Record) -> list[list[str]]:
    """Each as table, chain and match; the comment is how `down` and a reader know them."""
    comment = ["-m", "comment", "--comment", f"{_COMMENT}{record.prefix}-{record.era_name}"]
    network, bridge = record.network, record.bridge
    return [
        ["nat", "POSTROUTING", "-s", network, "!", "-d", network, *comment, "-j", "MASQUERADE"],
        ["filter", "FORWARD", "-i", bridge, *comment, "-j", "ACCEPT"],
        ["filter", "FORWARD", "-o", bridge, *comment, "-j", "ACCEPT"],
    ]


def bring_up(record: Record) -> None:
    """Idempotent: also right after a host reboot, which forgets all of it."""
    if not Path(f"/sys/class/net/{record.bridge}").exists():
        process.run(["ip", "link", "add", record.bridge, "type", "bridge"])
    process.run(["ip", "address", "replace", f"{record.gateway}/{record.prefix_length}", "dev", record.bridge])
    process.run(["ip", "link", "set", record.bridge, "up"])
    for table, chain, *match in _rules(record):
        if not _present(table, chain, match):
            # first, because a host with Docker drops what it forwards by default
            process.run(["iptables", "--wait", "-t", table, "-I", chain, *match])


def take_down(record: Record) -> None:
    for table, chain, *match in _rules(record):
        while _present(table, chain, match):
            process.run(["iptables", "--wait", "-t", table, "-D", chain, *match])
    if Path(f"/sys/class/net/{record.bridge}").exists():
        process.run(["ip", "link", "delete", record.bridge])


def _present(table: str, chain: str, match: list[str]) -> bool:
    # 1: no such rule; 2: not even a chain or a match of that kind is loaded
    return process.run(["iptables", "--wait", "-t", table, "-C", chain, *match], ok=(0, 1, 2)).code == 0
