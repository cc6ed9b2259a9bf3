"""What must outlive the session of whoever has started it.

A host may end all processes of a session with its logout (logind.conf(5), KillUserProcesses=): it goes by the control
group, of which setsid(2) is no way out. A scope of one's own is, and systemd makes one of a process that runs already.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from devswap import process
from devswap.errors import DevswapError

_BOOTED = Path("/run/systemd/system")
"""Is there where systemd runs: sd_booted(3)."""
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_SECONDS = 5.0
"""Less than anybody waits for a terminal that is kept."""


def outlive_session(name: str) -> None:
    """Move this process, and with it what it starts from now on, into a scope of its own; `name` is part of a unit's.

    Nothing where this host has no systemd. Where systemd says no, the session's end may be this process's: no reason
    to do without it.
    """
    if not _BOOTED.is_dir():
        return
    own = str(os.getpid())
    properties = ("2", "PIDs", "au", "1", own, "CollectMode", "s", "inactive-or-failed")
    scope = (f"devswap-{name}-{own}.scope", "fail")
    call = ["busctl", "call", "--quiet", *_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", *scope, *properties, "0"]
    with suppress(DevswapError):
        process.run(call, timeout=_SECONDS)
