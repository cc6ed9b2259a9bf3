"""Is this host ready? Looks, and changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devswap.backends import lxc
from devswap.errors import DevswapError
from devswap.recovery import Recovery

_KERNEL = (5, 12)
_INOTIFY_INSTANCES = 1024
_INOTIFY_FILE = Path("/proc/sys/fs/inotify/max_user_instances")


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `mend` is the command that puts it right, or would do more; empty where there is none."""

    what: str
    fine: bool
    mend: str


def examine(recovery: Recovery) -> Iterator[Finding]:
    """Every finding, the ones everything else needs first."""
    yield _finding("devswap runs as root", os.geteuid() == 0, "sudo devswap doctor")
    yield _kernel()
    for tool, package in (("git", "git"), ("lxc-attach", "lxc")):
        yield _finding(f"{tool} is installed", shutil.which(tool) is not None, f"apt-get install {package}")
    yield _containers()
    instances = int(_INOTIFY_FILE.read_text())
    yield _finding(
        f"inotify allows {instances} instances for each user (each container takes about six)",
        instances >= _INOTIFY_INSTANCES,
        f"sysctl -w fs.inotify.max_user_instances={_INOTIFY_INSTANCES}",
    )
    yield _recovery(recovery)


def _recovery(recovery: Recovery) -> Finding:
    """Not to have it is no fault: `devswap restore` does the same."""
    if not recovery.has_systemd:
        return Finding(
            "a restart of this host is followed by devswap restore, typed by you: it has no systemd", fine=True, mend=""
        )
    state = recovery.installed_for()
    if state is not None:
        return Finding(f"what is swapped when this host restarts is given back by itself ({state})", fine=True, mend="")
    if recovery.path.exists():
        what = f"{recovery.path} was installed by another devswap"
        return Finding(what, fine=False, mend="devswap doctor --install-recovery")
    what = "what is swapped when this host restarts is given back by devswap restore, typed by you"
    return Finding(what, fine=True, mend="devswap doctor --install-recovery")


def _kernel() -> Finding:
    release = os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    wanted = ".".join(map(str, _KERNEL))
    return _finding(
        f"the kernel {release} can mount into running containers", numbers >= _KERNEL, f"boot Linux {wanted}"
    )


def _containers() -> Finding:
    try:
        count = len(lxc.running())
    except DevswapError as error:
        return Finding(error.message, fine=False, mend=error.hint or "")
    return _finding(
        f"{count} LXC containers are running", count > 0, "devswap sandbox up, or start those of your cloud"
    )


def _finding(what: str, fine: bool, mend: str) -> Finding:  # noqa: FBT001 - a fact, not a switch
    return Finding(what, fine, "" if fine else mend)
