"""The stack of steps on disk: what must be undone for production to be back. An empty journal is a restored system.

    STATE/swaps/SERVICE@MACHINE/journal.json    0600 in 0700 folders

The file is replaced as a whole and flushed, with its folder, before the change it describes is made; so after a crash
or a full disk there is always the journal before or the journal after, never a part of one.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from devswap import host_lock
from devswap.errors import NotWhole
from devswap.host_lock import HostLock

VERSION = 1


@dataclass(frozen=True)
class Owner:
    """Who took a service over, from where. `pid` tells whether the devswap that did so still lives."""

    user: str
    uid: int
    host: str
    terminal: str
    pid: int


@dataclass(frozen=True)
class Swap:
    """What a swap is, besides its steps: everything `status`, `run` and `restore` need without the catalogue."""

    service: str
    project: str
    package: str
    """The import package that must come from the checkout."""
    machine: str
    unit: str
    owner: Owner
    since: str
    """When production was taken over: ISO 8601 with zone."""
    ref: str
    commit: str
    subject: str
    checkout: str
    """The folder on the host."""
    mode: str
    """preparing, foreground, detached, or restoring."""
    slot: int
    """Which folder below /run/devswap/SERVICE serves; a second checkout is prepared in the next one."""
    watched: dict[str, Any]
    """What the fingerprint looks at, and how the service is asked whether it serves."""
    deployment: dict[str, Any]
    """How production is run, for a second checkout: while swapped, its unit no longer shows it."""
    command: dict[str, Any] = field(default_factory=dict)
    """How development is started: see development.py."""
    stopped: str = ""
    """When production was told to stop; empty before that. What is logged from then on is development's."""
    review: dict[str, Any] | None = None
    """The Gerrit change that it is, and where to ask for a newer patchset: see sources.py."""
    apache: bool = False
    """Taken over under the web server that production has: another run or checkout goes the same way."""
    installed: bool = False
    """The checkout was installed into the overlay, as it was then."""
    libraries: list[dict[str, Any]] = field(default_factory=list)
    """What is run from checkouts of their own besides: see sources.py."""
    overlay: dict[str, Any] = field(default_factory=dict)
    """The key of its overlay, and the lock of what was installed into that: see overlay_table.py."""
    tuning: dict[str, Any] = field(default_factory=dict)
    """What the person changed in how development runs: see tuning.py."""
    hooks: dict[str, Any] = field(default_factory=dict)
    """Those of the checkout as they were then, and what they are told: see hooks_of_swap.py."""
    traffic: dict[str, Any] = field(default_factory=dict)
    """How requests shall come to development where HAProxy sends them: narrow, breakpoints."""
    shares: list[str] = field(default_factory=list)
    """What it may change together with other swaps, by the names of `Step.shared`."""
    given_back: bool = False
    """A restore has brought production back, and left what cannot be undone yet."""
    touched: list[str] = field(default_factory=list)
    """The kinds of step that were ever done in it: a difference elsewhere is not its doing."""
    fingerprint: dict[str, str] = field(default_factory=dict)
    """The facts of production before the first step."""

    @cached_property
    def text(self) -> str:
        """As JSON, made once: a journal is written a dozen times in a command, and most of it stays."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps({**content, "owner": asdict(self.owner)}, indent=1)


@dataclass(frozen=True)
class Entry:
    """One step with what it captured, as plain JSON that a person can act on by hand."""

    step: dict[str, Any]
    captured: Any

    @cached_property
    def text(self) -> str:
        return json.dumps({"step": self.step, "captured": self.captured}, indent=1)


class Journal:
    """One swap's journal. All changes go through `push`, `drop` and `describe`, each on disk when it returns."""

    def __init__(self, folder: Path, swap: Swap, entries: tuple[Entry, ...] = ()) -> None:
        self.folder = folder
        self.swap = swap
        self.entries = entries

    @classmethod
    def create(cls, folder: Path, swap: Swap) -> Journal:
        """Raises FileExistsError where there is one already."""
        path = folder / "journal.json"
        if path.exists():
            raise FileExistsError(folder)
        journal = cls(folder, swap)
        try:
            make_private(folder)
            journal._write()
        except BaseException:  # the disk may be full with the file in its place: nothing has begun, nothing may be left
            for each in (path, _half_written(path)):
                each.unlink(missing_ok=True)
            with suppress(OSError):  # it was never made, or has what is no part of a journal
                folder.rmdir()
            raise
        return journal

    @classmethod
    def load(cls, folder: Path) -> Journal:
        """Raises NotWhole for a journal that cannot be read: then nobody knows what must be undone."""
        path, by_hand = folder / "journal.json", f"sh {shlex.quote(str(folder / 'restore.sh'))}"
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            if read["version"] > VERSION:
                raise NotWhole(
                    f"cannot read {path}: it is of version {read['version']}, this devswap knows up to {VERSION}",
                    hint=f"use the devswap that wrote it, or a newer one; by hand: {by_hand}",
                )
            swap = Swap(**{**read["swap"], "owner": Owner(**read["swap"]["owner"])})
            return cls(folder, swap, tuple(Entry(**entry) for entry in read["entries"]))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotWhole(
                f"cannot read {path}: {error}", hint=f"the way back is to be read, and then run: {by_hand}"
            ) from error

    @property
    def called(self) -> str:
        """How a command line names this swap: by its service, with its machine where that is swapped in another too."""
        there = {path.parent for path in self.folder.parent.glob(f"{self.swap.service}@*/journal.json")}
        one = there <= {self.folder}
        return self.swap.service if one else f"{self.swap.service} --machine {self.swap.machine}"

    def push(self, entry: Entry) -> None:
        new = entry.step["kind"] not in self.swap.touched
        swap = replace(self.swap, touched=sorted([*self.swap.touched, entry.step["kind"]])) if new else self.swap
        self._become(swap, (*self.entries, entry))

    def drop(self, entry: Entry) -> None:
        """Forget an entry that is undone."""
        self._become(self.swap, tuple(other for other in self.entries if other is not entry))

    def describe(self, **changes: Any) -> None:
        """Change what the swap says of itself (its ref, its mode), never what was captured."""
        self._become(replace(self.swap, **changes), self.entries)

    def remove(self) -> None:
        """Forget the swap, which must have nothing left to undo."""
        if self.entries:
            raise NotWhole(f"{self.swap.service} has {len(self.entries)} steps that are not undone")
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == "journal.json"):
            if path.is_dir():  # what was shown to a machine that is gone
                shutil.rmtree(path)
            else:
                path.unlink()
        self.folder.rmdir()

    def _become(self, swap: Swap, entries: tuple[Entry, ...]) -> None:
        before = (self.swap, self.entries)
        self.swap, self.entries = swap, entries
        try:
            self._write()
        except BaseException:
            self.swap, self.entries = before
            raise

    def _write(self) -> None:
        entries = ",\n".join(entry.text for entry in self.entries)
        text = f'{{"version": {VERSION},\n"swap": {self.swap.text},\n"entries": [\n{entries}\n]}}\n'
        write_durably(self.folder / "journal.json", text.encode())


class Journals:
    """All the swaps of this host."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def folder(self, service: str, machine: str) -> Path:
        return self._state / "swaps" / f"{service}@{machine.replace('/', '+')}"

    def find(self, service: str, machine: str) -> Journal | None:
        folder = self.folder(service, machine)
        return Journal.load(folder) if (folder / "journal.json").exists() else None

    def claim_path(self, service: str, machine: str) -> Path:
        """Where the claim on a swap is taken; not in its folder, which comes and goes."""
        return self._state / "claims" / self.folder(service, machine).name

    def all(self) -> list[Journal]:
        """Those that can be read, in the order in which production was taken over."""
        found = [journal for journal in map(_load_if_there, self._folders()) if isinstance(journal, Journal)]
        return sorted(found, key=lambda journal: journal.swap.since)

    def called(self, folder: str) -> str:
        """How a command line names the swap whose folder has this name; its service where nobody knows it any more."""
        found = next((journal for journal in self.all() if journal.folder.name == folder), None)
        return found.called if found is not None else folder.partition("@")[0]

    def unreadable(self) -> list[NotWhole]:
        """What is wrong with those that cannot: it must not be in the way of the others."""
        return [error for error in map(_load_if_there, self._folders()) if isinstance(error, NotWhole)]

    def _folders(self) -> list[Path]:
        return [path.parent for path in sorted(self._state.glob("swaps/*/journal.json"))]

    @contextmanager
    def changing(
        self, *, seconds: float | None = 300.0, say: Callable[[str], None] | None = None
    ) -> Iterator[HostLock]:
        """Hold the host's one lock for the seconds of an apply or an undo: see host_lock.py."""
        make_private(self._state)
        with host_lock.held(self._state / "lock", seconds=seconds, say=say) as lock:
            yield lock


def _load_if_there(folder: Path) -> Journal | NotWhole | None:
    """The journal, what is wrong with it, or None where it was removed just now."""
    try:
        return Journal.load(folder)
    except FileNotFoundError:
        return None
    except NotWhole as error:
        return error


def make_private(folder: Path) -> None:
    """Make `folder` with those above it that are missing, all 0700: mkdir(2) gives that mode to the last one only."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` with `content`, on disk when this returns; the old file stays whole if that fails."""
    temporary = _half_written(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with naming(path), os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    flush_folder(path.parent)


def _half_written(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What a full or broken disk says of a write gets the file's name: by its descriptor the kernel tells none."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def flush_folder(folder: Path) -> None:
    """A rename is on disk only when its folder is: fsync(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
