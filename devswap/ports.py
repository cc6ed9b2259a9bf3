"""Which ports the processes of a unit listen on, seen from outside.

/proc/1/net/tcp lists the sockets of the machine, /proc/PID/fd whose they are, /proc/PID/cgroup which unit's a process
is. Only sockets in LISTEN count, and none of the ports that the kernel hands out by itself: those are others each time.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Collection, Iterator

from devswap import systemd
from devswap.machine import Machine

_LISTEN = "0A"
_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
_RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports"


def listening(machine: Machine, unit: str) -> list[str]:
    """Address and port of each listening socket of `unit`, sorted."""
    found = own(machine, unit)
    handed_out = _handed_out(machine) if found else ()
    return sorted(f"{address}:{port}" for address, port in found if port not in handed_out)


def own(machine: Machine, unit: str) -> set[tuple[str, int]]:
    """The same of all ports, as addresses with ports: also of one that somebody has named among the kernel's."""
    group = systemd.show(machine, unit, "ControlGroup")["ControlGroup"]
    processes = list(_processes(machine, group)) if group else []
    if not processes:
        return set()
    inodes = {inode for pid in processes for inode in _sockets(machine, pid)}
    # the machine's own: what an agent of neutron has started listens in namespaces, which come and go with networks
    tables = [_read(machine, f"/proc/1/net/{table}") for table in ("tcp", "tcp6")]
    return {(address, port) for table in tables for address, port, inode in _listeners(table) if inode in inodes}


def taken(machine: Machine) -> set[int]:
    """The ports that anybody listens on in the machine's own network."""
    return {port for _, port in _everybodys(machine)}


def addresses(machine: Machine, port: int) -> set[str]:
    """The addresses at which anybody listens on `port` in the machine's own network; 0.0.0.0 and [::] are all of it."""
    return {address for address, number in _everybodys(machine) if number == port}


def _everybodys(machine: Machine) -> Iterator[tuple[str, int]]:
    for table in ("tcp", "tcp6"):
        for address, port, _ in _listeners(_read(machine, f"/proc/1/net/{table}")):
            yield address, port


def _processes(machine: Machine, group: str) -> Iterator[str]:
    """Those in the control group `group` or below it.

    Seen from outside, each path begins with the machine's own group, which is its first process's: on a host there are
    containers whose paths only end alike.
    """
    own = {key: path.removesuffix("/init.scope").rstrip("/") for key, path in _groups(machine, "1")}
    for pid in filter(str.isdigit, machine.names("/proc")):
        if any(f"{path}/".startswith(f"{own.get(key, '')}{group}/") for key, path in _groups(machine, pid)):
            yield pid


def _groups(machine: Machine, pid: str) -> Iterator[tuple[str, str]]:
    """(hierarchy, path) for each line of /proc/PID/cgroup: cgroups(7)."""
    for line in _read(machine, f"/proc/{pid}/cgroup").splitlines():
        key, _, path = line.partition(":")[2].partition(":")
        yield key, path


def _sockets(machine: Machine, pid: str) -> Iterator[str]:
    """Inodes. A process that has ended meanwhile has none."""
    try:
        for name in machine.names(f"/proc/{pid}/fd"):
            if match := re.fullmatch(r"socket:\[(\d+)\]", machine.link_target(f"/proc/{pid}/fd/{name}") or ""):
                yield match[1]
    except OSError:
        return


def _listeners(table: str) -> Iterator[tuple[str, int, str]]:
    """(address, port, inode) of each line in LISTEN: proc(5)."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            address, _, port = fields[1].partition(":")
            yield _address(address), int(port, 16), fields[9]


def _address(text: str) -> str:
    """From the kernel's own writing: words of four bytes, each backwards on this kind of machine."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    if len(words) == 1:
        return socket.inet_ntop(socket.AF_INET, words[0])
    return f"[{socket.inet_ntop(socket.AF_INET6, b''.join(words))}]"


def _handed_out(machine: Machine) -> Collection[int]:
    """The ports that a program gets which asks for any. What cannot be read is no answer: the facts would differ."""
    limits = (machine.read_text(_RANGE) or "").split()
    if len(limits) != 2:
        return ()
    taken_out: set[int] = set()
    for part in filter(None, (machine.read_text(_RESERVED) or "").strip().split(",")):
        first, _, last = part.partition("-")
        taken_out.update(range(int(first), int(last or first) + 1))
    return {port for port in range(int(limits[0]), int(limits[1]) + 1) if port not in taken_out}


def _read(machine: Machine, path: str) -> str:
    """Empty for a process that has ended meanwhile."""
    try:
        return machine.read_text(path) or ""
    except OSError:
        return ""
