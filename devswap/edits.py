"""A person's own copies of a service's files of /etc, which development sees in the place of production's.

    STATE/edits/SERVICE@MACHINE/index.json     which there are, whose, and for which swap
    STATE/edits/SERVICE@MACHINE/files/etc/…    the copies, with the owner and the mode of production's files

They are root's, in a folder of root's alone: what holds a password in production holds it here too. Development sees
each by a bind mount in the namespace of its own unit, so that nobody else does, and nothing of it outlives the unit.
They are kept after a restore, and in force again only if somebody wants that. The machine's root may write them, so
the host follows no symlink out of their folder.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from devswap import plan, rootfs
from devswap.host import Host
from devswap.journal import Swap, make_private, write_durably
from devswap.machine import Machine
from devswap.slot import Mount, Slot

# What needs no quoting in a unit's BindReadOnlyPaths=, which splits at blanks and colons
_PLAIN = re.compile(r"[\w./+@=,~-]+", re.ASCII)


@dataclass(frozen=True)
class Copy:
    """One copy: who made it, of which content of production's file, and since when there is the swap that uses it."""

    user: str
    production: str
    """A digest; empty where production has no such file."""
    swap: str
    account: tuple[str, str] = ("", "")
    """The service's user and group, who must be able to read production's file as well; not noted once."""


@dataclass(frozen=True)
class Edits:
    """The copies of one service in one machine, by their paths there."""

    folder: Path
    machine: str
    """Its address."""
    copies: Mapping[str, Copy] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, machine: str) -> Edits:
        try:
            told = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(folder, machine)
        return cls(folder, told["machine"], {path: _copy(each) for path, each in told["copies"].items()})

    @property
    def files(self) -> Path:
        """The folder that is shown in the machine."""
        return self.folder / "files"

    def text(self, path: str) -> str | None:
        """What the copy of `path` says; None if there is none."""
        if path not in self.copies:
            return None
        try:
            with rootfs.opened(self.files) as files:
                content = files.read_bytes(path)
        except FileNotFoundError:
            return None
        return None if content is None else content.decode()

    def of_swap(self, swap: Swap) -> list[str]:
        """The paths of those that are in force for `swap`."""
        return sorted(path for path, each in self.copies.items() if each.swap == swap.since)

    def of_others(self, swap: Swap) -> list[str]:
        """The paths of those that were made for an earlier swap."""
        return sorted(path for path, each in self.copies.items() if each.swap != swap.since)

    def with_copy(self, path: str, copy: Copy) -> Edits:
        """Written down; the copy itself is there already."""
        return self._saved({**self.copies, path: copy})

    def for_swap(self, swap: Swap) -> Edits:
        """All of them in force."""
        read_as = account(swap)
        return self._saved(
            {path: replace(each, swap=swap.since, account=read_as) for path, each in self.copies.items()}
        )

    def without(self, path: str) -> Edits:
        left = self._saved({name: each for name, each in self.copies.items() if name != path})
        with suppress(FileNotFoundError), rootfs.opened(self.files) as files:
            files.remove(path)
        return left

    def _saved(self, copies: Mapping[str, Copy]) -> Edits:
        make_private(self.folder)
        told = {"machine": self.machine, "copies": {path: asdict(each) for path, each in copies.items()}}
        write_durably(self.folder / "index.json", json.dumps(told, indent=1).encode())
        return replace(self, copies=copies)


def _copy(told: Mapping[str, Any]) -> Copy:
    return Copy(**{**told, "account": tuple(told.get("account", ("", "")))})


def account(swap: Swap) -> tuple[str, str]:
    """The user and the group that the service runs as."""
    return swap.deployment["user"], swap.deployment["group"]


def of(host: Host, service: str, machine: str) -> Edits:
    """`machine` is an address."""
    return Edits.load(_all(host) / host.journals.folder(service, machine).name, machine)


def of_service(host: Host, service: str) -> list[Edits]:
    """In every machine."""
    return [found for folder in sorted(_all(host).glob(f"{service}@*")) if (found := Edits.load(folder, "")).copies]


def _all(host: Host) -> Path:
    return host.state / "edits"


def mount(host: Host, service: str, machine: str, place: Slot) -> Mount:
    """Writable, so that a copy gets the owner that production's file has in the machine; only root comes near it."""
    files = of(host, service, machine).files
    make_private(files)
    return Mount(files, place.edited, readonly=False)


def in_force(host: Host, swap: Swap) -> list[str]:
    """The paths of which development shall see copies."""
    return of(host, swap.service, swap.machine).of_swap(swap)


def offer(host: Host, swap: Swap) -> None:
    """Ask whether copies from an earlier swap shall be in force for this one; say how, where nobody can be asked."""
    found = of(host, swap.service, swap.machine)
    names = ", ".join(found.of_others(swap))
    if not names:
        return
    users = ", ".join(sorted({found.copies[path].user for path in found.of_others(swap)}))
    answer = host.choose(f"{users} has edited {names} for an earlier swap", ["use that again", "leave it"])
    if answer == 0:
        try:
            found.for_swap(swap)
        except OSError as error:  # a full disk; a takeover need not fail for it
            host.say(f"production's {names} is used: {error.strerror}")
        else:
            host.say(f"{swap.service} reads its own copy of {names}")
    elif answer is None:
        again = f"devswap edit {swap.service} --again uses that again"
        host.say(f"{users} has edited {names} for an earlier swap: {again}")


def view(machine: Machine, place: Slot, paths: Sequence[str]) -> dict[str, str]:
    """The settings of a unit that sees its own copies of `paths`; systemd.exec(5).

    To bind on a file that production lacks, systemd would make it there: its folder becomes one of the unit's own then,
    with all else that production has in it.
    """
    missing = [path for path in paths if not machine.exists(path)]
    folders = sorted({_nearest(machine, path) for path in missing})
    beside = [name for folder in folders for name in _beside(machine, folder, folders)]
    binds = [f"{name}:{name}" for name in beside if name not in paths]
    binds += [f"{place.edited}{path}:{path}" for path in paths]
    hidden = [f"{folder}:ro" for folder in folders]
    found = {"TemporaryFileSystem": " ".join(hidden), "BindReadOnlyPaths": " ".join(binds)}
    return {name: value for name, value in found.items() if value}


def view_of(host: Host, swap: Swap) -> dict[str, str]:
    """The same for all that is in force for a swap."""
    paths = in_force(host, swap)
    return view(host.machine(swap.machine), plan.slot(swap.service, swap.slot), paths) if paths else {}


def is_plain(path: str) -> bool:
    return _PLAIN.fullmatch(path) is not None


def _nearest(machine: Machine, path: str) -> str:
    folder = posixpath.dirname(path)
    while not machine.is_folder(folder):
        folder = posixpath.dirname(folder)
    return folder


def _beside(machine: Machine, folder: str, own: Sequence[str]) -> Iterator[str]:
    for name in machine.names(folder):
        path = f"{folder}/{name}"
        # what a link that leads nowhere stands for cannot be shown, and is not there for production either
        if is_plain(path) and path not in own and machine.exists(path):
            yield path
