"""A place where processes run, as the rest of devswap knows it, and what it is called."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, TypeVar

from devswap import pty, remembered
from devswap.errors import DevswapError
from devswap.process import Popen, Result

Seen = TypeVar("Seen")
_LOOKS, _PAUSE = 4, 0.5


class Machine(Protocol):
    """What the rest of devswap knows of a machine; tests put a simulated one in its place."""

    @property
    def address(self) -> str: ...

    @property
    def name(self) -> str:
        """The address without its kind: how people call it."""

    def is_running(self) -> bool: ...

    def is_frozen(self) -> bool:
        """Whether all that runs in it is suspended, and a command would be, too."""

    def addresses(self) -> list[str]:
        """Its IPv4 addresses."""

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = (0,),
        input: str | None = None,  # noqa: A002
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> Result:
        """Run `argv` inside to its end; see process.run. `env` adds to a minimal environment."""

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
        new_session: bool = True,
    ) -> Popen[bytes]:
        """Start `argv` inside. Killing it does not end what runs in there: see lxc-attach(1)."""

    def exists(self, path: str) -> bool: ...

    def read_text(self, path: str) -> str | None:
        """None where there is no such file."""

    def read_bytes(self, path: str) -> bytes | None:
        """None where there is no such file."""

    def link_target(self, path: str) -> str | None:
        """Where a symlink leads, as it is written; None for what is none."""

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder; none where there is no such folder."""

    def is_folder(self, path: str) -> bool: ...

    def write_text(self, path: str, text: str, *, mode: int = 0o644, like: str | None = None) -> None:
        """Replace the file atomically; the folders above it are made. Mode and owner are those of the file `like`."""

    def rename(self, source: str, target: str) -> None:
        """Put the file `source` in the place of `target`, atomically."""

    def make_folder(self, path: str) -> None: ...

    def open_pipe(self, path: str) -> int:
        """Make the named pipe `path`, readable by root, and hold its writing end: the descriptor."""

    def remove(self, path: str) -> None:
        """Remove a file or an empty folder; no error where there is none."""

    def mount(self, source: Path, target: str, *, readonly: bool) -> None:
        """Show the host's folder `source` at `target`, which is made; or a file, in the place of one that is there."""

    def unmount(self, target: str) -> None:
        """No error where nothing is mounted."""

    def mounted(self, below: str) -> list[str]:
        """The mount points at or below `below`."""

    def open_terminal(self) -> pty.Terminal: ...

    def converse(self, where: str, text: str, *, seconds: float, tls: bool = False) -> str:
        """Say `text` to what listens on `where` (/a/unix/socket or ADDRESS:PORT) and hear it out, to its end.

        As from the machine's own network. Raises OSError where nobody listens, or does not answer within `seconds`.
        """


def shown(address: str) -> str:
    """An address within a sentence: that of this host ends with a colon."""
    return address.removesuffix(":")


def name_of(address: str) -> str:
    """The address without its kind; this host has no other name than that."""
    return address.partition(":")[2] or address.rstrip(":")


def while_running(machine: Machine, look: Callable[[Machine], Seen]) -> Seen | None:
    """What `look` sees; None if the machine was stopped meanwhile, as any of many on a host may be.

    One that is just being stopped, or started, is looked at again: for an instant it is neither. Where that lasts it is
    passed over, and not waited for with each look; who looks for something tells of that (remembered.while_looking).
    """
    restless = remembered.restless()
    for _ in range(_LOOKS):
        try:
            return look(machine)
        except (DevswapError, OSError) as error:
            if not machine.is_running() or (restless is not None and machine.address in restless):
                return None
            why = str(error)
            time.sleep(_PAUSE)
    if restless is None:
        return look(machine)
    restless[machine.address] = why
    return None
