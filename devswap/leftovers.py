"""Ends what runs a checkout's code still, once its service has been stopped.

A unit whose KillMode is process leaves what its main process has started. For networks that is right: a dnsmasq runs
the machine's own program, and production's agent finds it again by its pid file. But what runs from below /run/devswap
(a rootwrap daemon, neutron-keepalived-state-change) would be the checkout's code beside production, partly as root.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from devswap import development
from devswap.machine import Machine

_MERCY = 3.0
_PAUSE = 0.1
# The same for people; root's own shell names no file below the folder, and is in no unit.
_BY_HAND = (
    'for p in $(grep -laF "$1/" /proc/[0-9]*/cmdline); do p=${p%/cmdline};'
    ' [ "$(readlink $p/ns/pid)" = "$(readlink /proc/1/ns/pid)" ] || continue;'
    ' grep -qF "/$2" $p/cgroup || [ "$(readlink $p/ns/net)" != "$(readlink /proc/1/ns/net)" ] || continue;'
    " kill -KILL ${p#/proc/}; done 2>/dev/null; true"
)


def end(machine: Machine, service: str, unit: str) -> list[str]:
    """What is left of `unit` that runs something of its swap is told to end, and killed if it does not.

    Told is what even that has not ended: it waits for the kernel, and nothing that it could do is held up by that.
    """
    for signal in ("TERM", "KILL"):
        left = list(_left(machine, service, unit))
        if not left:
            return []
        machine.run(["kill", f"-{signal}", *left], ok=(0, 1))  # 1: one of them has just ended
        _wait(machine, service, unit)
    return [f"warning: process {pid} of {unit} runs a checkout still" for pid in _left(machine, service, unit)]


def by_hand(service: str, unit: str) -> list[str]:
    """The words that do so without devswap."""
    return ["sh", "-c", _BY_HAND, "sh", development.folder(service), unit]


def _wait(machine: Machine, service: str, unit: str) -> None:
    deadline = time.monotonic() + _MERCY
    while any(_left(machine, service, unit)) and time.monotonic() < deadline:
        time.sleep(_PAUSE)


def _left(machine: Machine, service: str, unit: str) -> Iterator[str]:
    """Processes of the machine that the unit has started, and that run something from below the swap's folder."""
    folder = f"{development.folder(service)}/"
    for pid in filter(str.isdigit, machine.names("/proc")):
        try:
            if _runs(machine, pid, folder) and _is_of(machine, pid, unit):
                yield pid
        except OSError:  # it has ended meanwhile
            continue


def _runs(machine: Machine, pid: str, folder: str) -> bool:
    """A script is run by its interpreter, which is production's, and then its path is among the words."""
    if folder in (machine.read_text(f"/proc/{pid}/cmdline") or ""):
        return True
    return (machine.link_target(f"/proc/{pid}/exe") or "").startswith(folder)


def _is_of(machine: Machine, pid: str, unit: str) -> bool:
    """In the unit's control group, or in a network's namespace; a shell in which somebody looks at a file is neither.

    On a host /proc has the processes of its containers, too: those have numbers of their own.
    """
    if machine.link_target(f"/proc/{pid}/ns/pid") != machine.link_target("/proc/1/ns/pid"):
        return False
    groups = (machine.read_text(f"/proc/{pid}/cgroup") or "").splitlines()
    if any(unit in line.split("/") for line in groups):
        return True
    return machine.link_target(f"/proc/{pid}/ns/net") != machine.link_target("/proc/1/ns/net")
