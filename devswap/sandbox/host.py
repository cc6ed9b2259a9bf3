"""What the sandbox needs of this host: tools, a few kernel settings, and putting those back."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devswap import process
from devswap.errors import DevswapError
from devswap.sandbox.layers import CONTAINER_PATH
from devswap.sandbox.network import any_sandbox_left
from devswap.sandbox.record import write_atomically

# program → Debian's and Ubuntu's package
_TOOLS = {
    "lxc-start": "lxc",
    "lxc-attach": "lxc",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "git": "git",
}
# systemd takes about six inotify instances per container: with the usual 128 the twentieth hangs at boot
_SETTINGS = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 1024}
# in /run, because a reboot puts the settings back too; one for all sandboxes of this host, wherever their records are
_REMEMBERED = Path("/run/devswap-sandbox.json")
_LOCK = Path("/run/devswap-sandbox.lock")
_SYSTEMD_HIERARCHY = Path("/sys/fs/cgroup/systemd")


@contextmanager
def host_locked() -> Iterator[None]:
    """For the instant in which a sandbox takes or gives back what is the host's, wherever its record is."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_host() -> None:
    """Raises DevswapError naming what is missing, with the command that installs it."""
    if os.geteuid() != 0:
        raise DevswapError("cannot build containers without root", hint="sudo devswap sandbox up")
    missing = sorted({package for tool, package in _TOOLS.items() if not shutil.which(tool, path=CONTAINER_PATH)})
    if missing:
        raise DevswapError(
            f"missing on this host: {', '.join(missing)}", hint=f"sudo apt-get install --yes {' '.join(missing)}"
        )


def prepare_host() -> None:
    """Raise the kernel settings that are too low and remember what they were; nothing is lowered."""
    path = _REMEMBERED
    before: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    for name, wanted in _SETTINGS.items():
        setting = Path("/proc/sys") / name
        if int(setting.read_text()) >= wanted:
            continue
        before.setdefault(name, setting.read_text().strip())
        write_atomically(path, json.dumps(before))
        setting.write_text(str(wanted))
    if needs_systemd_hierarchy(Path("/proc/mounts").read_text()):
        before.setdefault("cgroup", str(_SYSTEMD_HIERARCHY))
        write_atomically(path, json.dumps(before))
        _SYSTEMD_HIERARCHY.mkdir(exist_ok=True)
        process.run(["mount", "-t", "cgroup", "-o", "none,name=systemd", "cgroup", str(_SYSTEMD_HIERARCHY)])


def needs_systemd_hierarchy(mounts: str) -> bool:
    """With cgroup v1 and another init than systemd nobody has mounted what a container's systemd needs."""
    lines = [line.split() for line in mounts.splitlines()]
    types_and_options = {(fields[2], fields[3]) for fields in lines if fields[1].startswith("/sys/fs/cgroup")}
    unified = any(fields[1] == "/sys/fs/cgroup" and fields[2] == "cgroup2" for fields in lines)
    return not unified and not any(
        kind == "cgroup" and "name=systemd" in options.split(",") for kind, options in types_and_options
    )


def release_host() -> None:
    """Put back what `prepare_host` changed and is still as it left it, once the last sandbox of this host is gone."""
    path = _REMEMBERED
    if not path.exists() or any_sandbox_left():
        return
    before: dict[str, str] = json.loads(path.read_text())
    for name, wanted in _SETTINGS.items():
        setting = Path("/proc/sys") / name
        if name in before and setting.read_text().strip() == str(wanted):
            setting.write_text(before[name])
    if "cgroup" in before and _SYSTEMD_HIERARCHY.is_mount():
        process.run(["umount", str(_SYSTEMD_HIERARCHY)], ok=(0, 32))  # 32: still in use by somebody else
    path.unlink()
