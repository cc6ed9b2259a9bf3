"""Containers for tests: clones of the sandbox's base system, with no network but their own loopback."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from devswap import process
from devswap.backed_machine import BackedMachine
from devswap.backends.lxc import Lxc
from devswap.sandbox.base import Workshop, build_base
from devswap.sandbox.commands import CACHE
from devswap.sandbox.containers import container_root
from devswap.sandbox.eras import era_named
from devswap.sandbox.layers import Cache
from devswap.sandbox.sources import host_distribution
from devswap.sandbox.wheels import build_builder

_BOOT_SECONDS = 60.0


def start(name: str, *, shown: Sequence[str] = (), compiler: bool = False) -> BackedMachine:
    """A fresh container `name`, on demand with a compiler; one of that name that an aborted run left goes first.

    The folders `shown` of the host are in it, too, read-only and at the same places.
    """
    remove(name)
    workshop = Workshop(era_named("current"), host_distribution(), Cache(CACHE), print)
    base = build_base(workshop)
    stack = (build_builder(workshop, base), *base.stack) if compiler else base.stack
    folder = container_root() / name
    for part in ("upper", "rootfs"):
        (folder / part).mkdir(parents=True)
    (folder / "config").write_text(
        "lxc.include = /usr/share/lxc/config/common.conf\n"
        f"lxc.uts.name = {name}\n"
        f"lxc.rootfs.path = overlay:{':'.join(map(str, stack))}:{folder / 'upper'}\n"
        "lxc.apparmor.profile = unconfined\n"
        "lxc.init.cmd = /sbin/init\n"
        "lxc.net.0.type = empty\n"
        "lxc.net.0.flags = up\n"
        + "".join(f"lxc.mount.entry = {path} {path[1:]} none bind,ro,create=dir 0 0\n" for path in shown)
    )
    process.run(["lxc-start", "--name", name, "--daemon"], timeout=60)
    machine = BackedMachine(Lxc(name))
    _wait_until_booted(machine)
    return machine


def remove(name: str) -> None:
    """Stop and delete the container; no error where there is none."""
    folder = container_root() / name
    if folder.exists():
        process.run(["lxc-stop", "--name", name, "--kill"], ok=range(256), timeout=60)
        shutil.rmtree(folder)


def require_lxc() -> None:
    """Skips where there is none, with the reason; CI must have it, and fails."""
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    for program in ("lxc-start", "debootstrap"):
        if shutil.which(program) is None:
            missing(f"needs {program}")
    if not Path("/proc/self/ns/mnt").exists() or _uid() != 0:
        missing("needs root")


def _uid() -> int:
    return Path("/proc/self").stat().st_uid


def _wait_until_booted(machine: BackedMachine) -> None:
    deadline = time.monotonic() + _BOOT_SECONDS
    while True:
        # 1: a state that is not `running`
        state = machine.run(["systemctl", "is-system-running"], ok=range(256)).stdout.strip()
        if state in ("running", "degraded"):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{machine.name} has not booted after {_BOOT_SECONDS:.0f} s: {state}")
        time.sleep(0.1)


def reboot(name: str) -> None:
    """Restart the container, as a host's restart would: its /run is a fresh one."""
    process.run(["lxc-stop", "--name", name, "--kill"], timeout=60)
    process.run(["lxc-start", "--name", name, "--daemon"], timeout=60)
    _wait_until_booted(BackedMachine(Lxc(name)))
