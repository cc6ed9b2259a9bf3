"""HAProxy's processes, as a machine's own /proc shows them, on this host as in containers.

One way for both that needs neither a tool nor a library there, says at once which machine it is, and can be simulated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from devswap.machine import Machine

_TAKES_VALUE = frozenset({"-f", "-p", "-C", "-L", "-m", "-n", "-N", "-S", "-x"})
_TAKES_VALUES = frozenset({"-sf", "-st"})


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    argv: tuple[str, ...]
    folder: str
    """Where it was started, or was told to go."""
    unit: str
    """The systemd unit whose processes it is among; empty for none."""
    started: int
    """In the kernel's ticks."""


def running(machine: Machine) -> Iterator[Process]:
    """Those of the machine itself."""
    for name in machine.names("/proc"):
        if not name.isdigit():
            continue
        try:
            if (machine.read_text(f"/proc/{name}/comm") or "").strip() == "haproxy":
                found = _process(machine, int(name))
                if found is not None:
                    yield found
        except OSError:
            continue  # it has just ended


def _process(machine: Machine, pid: int) -> Process | None:
    """None for one that has ended, or that runs in a container within this machine."""
    status = machine.read_text(f"/proc/{pid}/status") or ""
    numbers = re.search(r"^NSpid:(.*)$", status, re.MULTILINE)
    parent = re.search(r"^PPid:\s*(\d+)", status, re.MULTILINE)
    argv = (machine.read_text(f"/proc/{pid}/cmdline") or "").rstrip("\0").split("\0")
    if parent is None or (numbers is not None and len(numbers[1].split()) > 1) or argv == [""]:
        return None
    unit = re.search(r"/([^/\n]+\.service)$", machine.read_text(f"/proc/{pid}/cgroup") or "", re.MULTILINE)
    folder = machine.link_target(f"/proc/{pid}/cwd") or "/"
    program = argv[0] if argv[0].startswith("/") else machine.link_target(f"/proc/{pid}/exe") or argv[0]
    times = (machine.read_text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    started = int(times[19]) if len(times) > 19 else 0
    return Process(pid, int(parent[1]), (program, *argv[1:]), folder, unit[1] if unit else "", started)


def sources(process: Process, folder: str) -> tuple[str, ...]:
    """What is behind -f and --, as absolute paths."""
    rest, found = list(process.argv[1:]), list[str]()
    while rest:
        word = rest.pop(0)
        if word == "--":
            found, rest = [*found, *rest], []
        elif word in _TAKES_VALUES:
            while rest and rest[0].isdigit():
                rest.pop(0)
        elif word in _TAKES_VALUE and rest:
            value = rest.pop(0)
            found += [value] if word == "-f" else []
            folder = absolute(value, folder) if word == "-C" else folder
    return tuple(absolute(path, folder) for path in found)


def absolute(path: str, folder: str) -> str:
    """`path` as from `folder`."""
    return (path if path.startswith("/") else f"{folder.rstrip('/')}/{path}").rstrip("/")


def without_takeover(argv: Sequence[str]) -> list[str]:
    """A command line without what an earlier reload had added to it."""
    rest, kept = list(argv), []
    while rest:
        word = rest.pop(0)
        if word in _TAKES_VALUES:
            while rest and rest[0].isdigit():
                rest.pop(0)
        elif word == "-x":
            rest = rest[1:]
        else:
            kept.append(word)
    return kept
