"""Whom a service runs as."""

from __future__ import annotations

import re

from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.steps.step import shell


def of_unit(machine: Machine, unit: str, wanted: str, pid: int, *, otherwise: str | None) -> str:
    """Whom the service runs as: its process knows, since a unit without User= may change it by itself.

    `wanted` is its User=; `otherwise` is whom it becomes by itself, as far as its own configuration says.

    Raises DevswapError where the process is not the one that User= names, and where there is neither a process nor a
    name: development would run as somebody else, root perhaps.
    """
    uid = _owner(machine, pid) if pid else None
    accounts = _accounts(machine)
    if uid is None or (wanted and wanted not in accounts.values() and wanted != str(uid)):
        named = wanted or otherwise  # it does not run, or as an account of systemd's own making (DynamicUser=)
        if named:
            return named
        raise DevswapError(
            f"cannot see whom {unit} in {machine.name} runs as: it does not run, and its unit has no User=",
            hint=f"start it first: {shell(machine.address, 'systemctl', 'start', unit)}",
        )
    name = accounts.get(uid)
    if name is None:
        raise DevswapError(f"cannot see whom {unit} in {machine.name} runs as: there is no account {uid}")
    if wanted and wanted not in (name, str(uid)):
        raise DevswapError(
            f"cannot take {unit} in {machine.name} over: it has User={wanted}, but runs as {name}",
            hint=f"systemctl cat {unit} shows how it is started",
        )
    return name


def named(machine: Machine, path: str, wanted: str | None) -> str | None:
    """The name of an account (/etc/passwd) or a group (/etc/group) that may be given by its number."""
    rows = [line.split(":") for line in (machine.read_text(path) or "").splitlines()]
    return next((row[0] for row in rows if len(row) > 2 and row[2] == wanted), wanted)


def group_of(machine: Machine, user: str) -> str | None:
    """The number of the account's own group."""
    rows = [line.split(":") for line in (machine.read_text("/etc/passwd") or "").splitlines()]
    return next((row[3] for row in rows if row[0] == user and len(row) > 3), None)


def own_group(machine: Machine, user: str) -> str | None:
    """The same by its name; None where it has none."""
    number = group_of(machine, user)
    found = named(machine, "/etc/group", number)
    return found if found != number else None


def _owner(machine: Machine, pid: int) -> int | None:
    """The effective uid of a process, as its machine numbers it; None where it has just ended."""
    line = re.search(r"^Uid:\s+\d+\s+(\d+)", machine.read_text(f"/proc/{pid}/status") or "", re.MULTILINE)
    if line is None:
        return None
    uid = int(line[1])
    for row in (machine.read_text(f"/proc/{pid}/uid_map") or "").splitlines():  # read from outside: user_namespaces(7)
        inside, outside, count = map(int, row.split())
        if outside <= uid < outside + count:
            return inside + uid - outside
    return uid


def _accounts(machine: Machine) -> dict[int, str]:
    rows = [line.split(":") for line in (machine.read_text("/etc/passwd") or "").splitlines()]
    return {int(row[2]): row[0] for row in reversed(rows) if len(row) > 2 and row[2].isdigit()}
