"""/proc of a simulated machine: each running unit is one process."""

from __future__ import annotations

import socket

from tests.simulated.init import Init, Running

_SYSTEM = {
    "/proc/sys/net/ipv4/ip_local_port_range": b"32768\t60999\n",
    "/proc/sys/net/ipv4/ip_local_reserved_ports": b"\n",
}


def read(init: Init, path: str) -> bytes | None:
    if path in _SYSTEM:
        return _SYSTEM[path]
    if path == "/proc/1/cgroup":
        return b"0::/lxc.payload.simulated/init.scope\n"
    if path == "/proc/1/net/tcp":
        return _sockets(init).encode()
    number, _, name = path.removeprefix("/proc/").partition("/")
    found = _process(init, number)
    if not path.startswith("/proc/") or found is None:
        return None
    unit, running = found
    if name == "status":
        return f"Name:\tpython\nUid:\t{running.uid}\t{running.uid}\t{running.uid}\t{running.uid}\n".encode()
    if name == "cmdline":
        return (running.title or "\0".join(running.argv) + "\0").encode()
    if name == "cgroup":
        return f"0::/lxc.payload.simulated/system.slice/{unit}\n".encode()
    return None


def names(init: Init, path: str) -> list[str]:
    if path == "/proc":
        running = [number for unit, number in init.pids.items() if init.is_active(unit)]
        return sorted(map(str, [*running, *init.strays]))
    number, _, name = path.removeprefix("/proc/").partition("/")
    found = _process(init, number) if path.startswith("/proc/") and name == "fd" else None
    return ["0", *(str(3 + index) for index in range(len(found[1].ports)))] if found else []


def link_target(init: Init, path: str) -> str | None:
    number, _, name = path.removeprefix("/proc/").partition("/")
    found = _process(init, number) if path.startswith("/proc/") else None
    if found is not None and name == "exe":
        return found[1].argv[0]
    if found is None or not name.startswith("fd/"):
        return None
    index = int(name.removeprefix("fd/")) - 3
    return f"socket:[{_inode(number, index)}]" if index >= 0 else "/dev/null"


def _process(init: Init, number: str) -> tuple[str, Running] | None:
    for unit, pid in init.pids.items():
        if str(pid) == number and init.is_active(unit):
            return unit, init.units[unit]
    stray = init.strays.get(int(number)) if number.isdigit() else None
    return (stray.unit, Running(argv=stray.argv)) if stray else None


def _sockets(init: Init) -> str:
    """The machine's whole table, with a connection that listens to nobody in it."""
    lines = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"]
    lines.append("   0: 0100007F:9C40 0100007F:0CEA 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100")
    for unit, pid in init.pids.items():
        for index, (address, port) in enumerate(init.units[unit].ports if init.is_active(unit) else []):
            local = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
            inode = _inode(str(pid), index)
            lines.append(f"   1: {local} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 {inode} 1 0 100")
    return "\n".join(lines) + "\n"


def _inode(number: str, index: int) -> str:
    return f"{number}{index:03}"
