"""The sandbox's LXC containers: defined, started, stopped, removed; and commands run inside them."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from devswap import process
from devswap.errors import DevswapError
from devswap.sandbox.layers import CONTAINER_PATH, Layer, run_in_layers
from devswap.sandbox.record import write_atomically
from devswap.sandbox.templates import fill

_MARK = "# built by devswap sandbox"
_BOOT_SECONDS = 90.0
# LXC leaves a lock file here for every container there ever was
_LOCKS = Path("/run/lxc/lock")


def _allowed(device: Path) -> str:
    """Lines of LXC's configuration by which a container has a device of the host's."""
    try:
        number = device.stat().st_rdev
    except OSError as error:
        raise DevswapError(f"the sandbox needs {device}, which this host has not: {error.strerror}") from error
    inside = str(device).lstrip("/")
    return (
        f"lxc.cgroup2.devices.allow = c {os.major(number)}:{os.minor(number)} rwm\n"
        f"lxc.cgroup.devices.allow = c {os.major(number)}:{os.minor(number)} rwm\n"
        f"lxc.mount.entry = {device} {inside} none bind,create=file 0 0\n"
    )


def container_root() -> Path:
    """Where LXC keeps its containers, as it is configured on this host."""
    return Path(process.run(["lxc-config", "lxc.lxcpath"]).stdout.strip())


def existing_containers() -> list[str]:
    return process.run(["lxc-ls", "-1"]).stdout.split()


def running_containers() -> set[str]:
    return set(process.run(["lxc-ls", "-1", "--running"]).stdout.split())


def containers_on(cache: Path, root: Path) -> list[str]:
    """The containers whose layers are in this cache, whoever made them."""
    return [
        name for name, layers in _layers_of_all(root).items() if any(layer.is_relative_to(cache) for layer in layers)
    ]


def layers_in_use(root: Path) -> set[Path]:
    return {layer for layers in _layers_of_all(root).values() for layer in layers}


def _layers_of_all(root: Path) -> dict[str, list[Path]]:
    """Of every LXC container of this host that is an overlay, the trees it lies on."""
    overlay = re.compile(r"^lxc\.rootfs\.path\s*=\s*overlay(?:fs)?:(\S+):[^:\s]+$", re.MULTILINE)
    matches = {path.parent.name: overlay.search(path.read_text()) for path in sorted(root.glob("*/config"))}
    return {name: [Path(layer) for layer in match[1].split(":")] for name, match in matches.items() if match}


class Container:
    """One container, by its name; it lives in LXC's own folder so that every LXC tool sees it."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.folder = root / name

    @property
    def defined(self) -> bool:
        return (self.folder / "config").exists()

    @property
    def ours(self) -> bool:
        return self.defined and (self.folder / "config").read_text().startswith(_MARK)

    def define(
        self, layer: Layer, *, era: str, bridge: str, address: str, gateway: str, devices: Sequence[str] = ()
    ) -> None:
        """Write LXC's configuration last: a folder without one is nothing that LXC or a second `up` believes in."""
        for part in ("upper", "rootfs", "work"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        text = fill(
            "lxc.conf",
            mark=_MARK,
            era=era,
            hostname=self.name.replace("_", "-"),
            rootfs=f"overlay:{':'.join(map(str, layer.stack))}:{self.folder / 'upper'}",
            bridge=bridge,
            veth=f"{self.name[-8:]}_eth1",
            address=address,
            gateway=gateway,
            devices="".join(_allowed(Path(device)) for device in devices),
        )
        write_atomically(self.folder / "config", text, mode=0o644)

    def run_before_boot(
        self, layer: Layer, argv: Sequence[str], *, binds: dict[Path, str] | None = None
    ) -> process.Result:
        """Run a command in the file tree of a container that is not running."""
        folder = self.folder
        return run_in_layers(layer.stack, folder / "upper", folder / "work", folder / "rootfs", argv, binds=binds)

    def start(self) -> None:
        process.run(["lxc-start", "--name", self.name, "--daemon"], timeout=60)

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Sequence[int] = (0,),
        user: str | None = None,
        input: str | None = None,  # noqa: A002 - as in process.run
        timeout: float = 120,
    ) -> process.Result:
        """Run a command in the running container, as root or as a service's user, who has no login shell."""
        whom = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return process.run(
            [
                "lxc-attach", "--name", self.name, "--clear-env",
                "--set-var", f"PATH={CONTAINER_PATH}", "--set-var", "LC_ALL=C.UTF-8", "--set-var", "HOME=/root",
                "--", *whom, *argv,
            ],
            ok=ok, input=input, timeout=timeout,
        )  # fmt: skip

    def wait_until_booted(self) -> None:
        """Raises DevswapError if systemd inside has not come up in time."""
        deadline = time.monotonic() + _BOOT_SECONDS
        state = ""
        while time.monotonic() < deadline:
            # 1: not yet running or degraded, told apart by what it prints
            state = self.run(["systemctl", "is-system-running"], ok=(0, 1), timeout=30).stdout.strip()
            if state in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise DevswapError(
            f"container {self.name} had not booted after {_BOOT_SECONDS:.0f} s: its systemd is {state or 'silent'}",
            hint=f"lxc-attach -n {self.name} -- systemctl list-jobs",
        )

    def live_root(self) -> Path:
        """The running container's file tree as seen from the host."""
        init = process.run(["lxc-info", "--name", self.name, "--pid", "--no-humanize"]).stdout.strip()
        return Path("/proc") / init / "root"

    def memory_bytes(self) -> int:
        """As the kernel accounts for it, page cache included; 0 where it does not."""
        said = process.run(["lxc-info", "--name", self.name, "--stats", "--no-humanize"]).stdout
        found = re.search(r"^Memory use:\s+(\d+)$", said, re.MULTILINE)
        return int(found[1]) if found else 0

    def stop(self) -> None:
        """At once: what a sandbox holds is thrown away or is on disk already."""
        process.run(["lxc-stop", "--name", self.name, "--kill"], ok=(0, 2), timeout=60)  # 2: was not running

    def remove(self) -> None:
        if self.ours:
            self.stop()
        elif self.defined:
            raise DevswapError(f"container {self.name} is not one of the sandbox's own")
        if self.folder.exists():
            shutil.rmtree(self.folder)
        (_LOCKS / str(self.folder.parent).lstrip("/") / f".{self.name}").unlink(missing_ok=True)
