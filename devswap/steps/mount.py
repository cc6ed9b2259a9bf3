"""Shows a folder of the host in a machine."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.steps.step import Cloud, Step, shell

BASE = "/run/devswap"


@dataclass(frozen=True)
class Mount(Step):
    """`source` on the host appears at `target`, which lies below /run/devswap."""

    source: str
    target: str
    readonly: bool

    kind: ClassVar[str] = "mount"
    facts: ClassVar[tuple[str, ...]] = ("mounts of devswap",)

    def capture(self, cloud: Cloud) -> Any:
        if self.target in cloud.machine(self.on).mounted(self.target):
            raise DevswapError(
                f"cannot mount on {self.target} in {self.on}: something is mounted there that no swap knows of",
                hint=f"unmount it: {shell(self.on, 'umount', self.target)}",
            )
        return {}

    def do(self, cloud: Cloud) -> None:
        cloud.machine(self.on).mount(Path(self.source), self.target, readonly=self.readonly)

    def undo(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002 - there was nothing before
        machine = cloud.machine(self.on)
        machine.unmount(self.target)
        remove_empty(machine, self.target)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        return [f"{shell(self.on, 'umount', '--lazy', self.target)} || true  # fails where nothing is mounted"]

    def describe(self) -> tuple[str, str]:
        how = "read-only" if self.readonly else "writable"
        return f"mount {self.source} on {self.target} ({how})", f"unmount {self.target}"


@dataclass(frozen=True)
class MountPassing(Mount):
    """The same of a folder that was made for this swap alone, and of which nobody needs anything afterwards."""

    kind: ClassVar[str] = "mount-passing"

    def undo(self, cloud: Cloud, captured: Any) -> None:
        super().undo(cloud, captured)
        # others wrote it: no link in it is followed, and what cannot be removed is in nobody's way
        shutil.rmtree(self.source, ignore_errors=True)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:
        return [*super().by_hand(captured, vault), shlex.join(["rm", "-rf", "--", self.source])]

    def describe(self) -> tuple[str, str]:
        forward, backward = super().describe()
        return forward, f"{backward}, and remove {self.source}"


def remove_empty(machine: Machine, path: str) -> None:
    """Remove the folder `path` and those above it up to and with /run/devswap, as far as they are empty."""
    while path == BASE or path.startswith(BASE + "/"):
        if machine.names(path):
            return
        machine.remove(path)
        path = path.rpartition("/")[0]
