"""Who holds a swap, and whether the devswap that does so still lives."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

from devswap.errors import DevswapError
from devswap.journal import Owner

_END_SECONDS = 60.0


def this_process(user: str, uid: int, terminal: str) -> Owner:
    """The owner that this devswap is."""
    pid = os.getpid()
    return Owner(user, uid, socket.gethostname(), terminal, pid, _started(pid) or 0)


def lives(owner: Owner) -> bool:
    """Whether the owner's process runs; a number that was given to another process since does not count."""
    return owner.host == socket.gethostname() and owner.started == _started(owner.pid)


def end(owner: Owner) -> None:
    """Ask the owner's process to end, which rolls back what it has begun, and wait until it is gone."""
    os.kill(owner.pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while lives(owner):
        if time.monotonic() > deadline:
            raise DevswapError(
                f"cannot end the devswap of {owner.user}: process {owner.pid} still runs after {_END_SECONDS:.0f} s",
                hint=f"kill -9 {owner.pid}, then try again",
            )
        time.sleep(0.05)


def _started(pid: int) -> int | None:
    """When the process was started, in clock ticks since boot: field 22 of proc(5)'s stat; None where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # behind the command's name, which may hold spaces
    return None if fields[0] in "ZX" else int(fields[19])
