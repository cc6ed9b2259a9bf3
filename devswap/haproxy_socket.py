"""What HAProxy's runtime socket is told, and what its answers mean; nothing here connects to it."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass

INFO = "show info"
STATES = "show servers state"
STATISTICS = "show stat"
# srv_admin_state of `show servers state` (management.txt): what the socket said, and what the file said.
_FORCED_MAINTENANCE, _CONFIGURED_MAINTENANCE, _FORCED_DRAIN = 0x01, 0x04, 0x08


@dataclass(frozen=True)
class ServerState:
    """One server as the running process has it. `key` is backend/server."""

    key: str
    address: str
    port: int | None
    up: bool
    admin: str
    """ready, drain or maint: what `set server … state` sets."""
    loaded_disabled: bool
    """The configuration that is loaded has it disabled."""
    weight: int
    initial_weight: int


@dataclass(frozen=True)
class Row:
    """One server in `show stat`."""

    backend: str
    server: str
    status: str
    weight: int
    is_backup: bool
    last_check: str
    sessions: int
    idle: int
    """Connections to it that are kept open for the next request."""

    @property
    def key(self) -> str:
        return f"{self.backend}/{self.server}"


def states(text: str) -> dict[str, ServerState]:
    """The answer to `show servers state`, by key."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    header = next((line[1:] for line in lines if line[0] == "#"), [])
    rows = [dict(zip(header, line, strict=False)) for line in lines if line[0].isdigit() and len(line) > 1]
    found = [_state(row) for row in rows if "srv_admin_state" in row]
    return {state.key: state for state in found}


def _state(row: Mapping[str, str]) -> ServerState:
    flags = int(row["srv_admin_state"])
    port = row.get("srv_port", "0")
    return ServerState(
        key=f"{row['be_name']}/{row['srv_name']}",
        address=row["srv_addr"],
        port=int(port) if port.isdigit() and port != "0" else None,
        up=row["srv_op_state"] != "0",
        admin="maint" if flags & _FORCED_MAINTENANCE else "drain" if flags & _FORCED_DRAIN else "ready",
        loaded_disabled=bool(flags & _CONFIGURED_MAINTENANCE),
        weight=int(row["srv_uweight"]),
        initial_weight=int(row["srv_iweight"]),
    )


def statistics(text: str) -> dict[str, Row]:
    """The servers in the answer to `show stat`, by key."""
    lines = [line for line in text.removeprefix("# ").splitlines() if line]
    rows = [row for row in csv.DictReader(lines) if row["svname"] not in ("FRONTEND", "BACKEND")]
    found = [
        Row(
            backend=row["pxname"],
            server=row["svname"],
            status=row["status"],
            weight=_number(row.get("weight")),
            is_backup=row.get("bck") == "1",
            last_check=" ".join(filter(None, (row.get("check_status"), row.get("last_chk")))),
            sessions=_number(row.get("scur")) + _number(row.get("qcur")),
            idle=_number(row.get("srv_icur")),
        )
        for row in rows
    ]
    return {row.key: row for row in found}


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def worker(text: str) -> int | None:
    """The process that answered `show info`, as its machine numbers it."""
    return next((int(line[5:]) for line in text.splitlines() if line.startswith("Pid: ")), None)


def set_state(key: str, state: str) -> str:
    """`state`: ready, drain or maint."""
    return f"set server {key} state {state}"


def set_health(key: str, *, up: bool) -> str:
    return f"set server {key} health {'up' if up else 'down'}"


def carried_over(
    before: Mapping[str, ServerState], after: Mapping[str, ServerState], *, but: Collection[str]
) -> list[str]:
    """What a new process must be told to be as the one before it: a reload forgets all that was not in the file.

    Without it a server that is down would get requests until its first check. The servers in `but` are left out.
    """
    commands = []
    for key, now in after.items():
        was = before.get(key)
        if was is None or key in but:
            continue
        if was.admin != now.admin and was.loaded_disabled == now.loaded_disabled:
            commands.append(set_state(key, was.admin))
        if was.weight != now.weight and was.weight != was.initial_weight:
            commands.append(f"set server {key} weight {was.weight}")
        if now.up and not was.up and was.admin == "ready":
            commands.append(set_health(key, up=False))
    return commands


def refusals(text: str) -> list[str]:
    """What of an answer to commands that change something is not silence: HAProxy says nothing where it did them."""
    return [line for line in text.splitlines() if line.strip()]
