"""Finds the executables that say what data cannot: FOLDER/NAME/STAGE, where NAME is a project or a service.

Those that came with devswap are found first, then the host's, then the user's; all that are found are run. Each is a
script that declares at its beginning where it runs:

    # devswap: run-on = machine
    # devswap: seconds = 60
    # devswap: makes = yes
    # devswap: services = *-agent
    # devswap: files = /etc/sudoers.d/devswap-*
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from devswap.errors import UsageError

PREPARED, STOPPED, MIGRATED, STARTED, RESTORED = "prepared", "stopped", "migrated", "started", "restored"
STAGES = (PREPARED, STOPPED, MIGRATED, STARTED, RESTORED)
MACHINE, HOST = "machine", "host"
SYSTEM_FOLDER = Path("/etc/devswap/hooks")

_SECONDS = 30
_LONGEST = 600
_LARGEST = 256 * 1024
_SAYS = re.compile(r"#\s*devswap\s*:\s*(.*)")
_KEYS = ("run-on", "seconds", "makes", "services", "files")
_PATTERN = re.compile(r"(?!.*/\.\.?(/|$))(/[\w.+@-]+)+/[\w.+@*?-]+")
_IGNORED = re.compile(r"\..*|.*~|README.*")


@dataclass(frozen=True)
class Hook:
    """One executable, as it was when it was found: what is run later is this text, whatever becomes of the file."""

    path: str
    stage: str
    on: str
    """`machine` or `host`."""
    seconds: int
    """How long it may take."""
    uid: int
    """Whose it is; on the host it runs as them."""
    text: str
    makes: bool = False
    """It has a folder that it may write, and development reads."""

    @property
    def files(self) -> tuple[str, ...]:
        """Patterns of the files that it may declare besides those in the folder of hooks."""
        return tuple(dict(_declared(self.path, self.text.splitlines())).get("files", "").split())

    def is_for(self, service: str) -> bool:
        """Of its project's services all, unless it names some."""
        patterns = dict(_declared(self.path, self.text.splitlines())).get("services", "*")
        return any(fnmatchcase(service, pattern) for pattern in patterns.split())


@dataclass(frozen=True)
class Shelf:
    """A folder of hooks. Files in it belong to one of `trusted`; None: they are believed as devswap itself is."""

    folder: Path
    uid: int
    trusted: frozenset[int] | None
    top: Path
    """Everything from here down to a hook must be in trusted hands."""


def shelves(home: Path | None, uid: int) -> tuple[Shelf, ...]:
    """Where hooks are looked for, in order; `home` and `uid` are the invoking user's."""
    found = [
        Shelf(_shipped(), 0, None, _shipped()),
        Shelf(SYSTEM_FOLDER, 0, frozenset({0}), SYSTEM_FOLDER.parent),
    ]
    if home is not None:
        own = home / ".config/devswap"
        found.append(Shelf(own / "hooks", uid, frozenset({0, uid}), own))
    return tuple(found)


def find(project: str, service: str, where: Sequence[Shelf]) -> tuple[Hook, ...]:
    """Those of the project, then those of the service; by stage, each stage in the order in which they are run.

    Raises UsageError that names the file for one that cannot be believed, or does not say what it must.
    """
    names = dict.fromkeys((project, service))
    hooks = [hook for name in names for shelf in where for hook in _in_folder(shelf, shelf.folder / name)]
    own = [hook for hook in hooks if hook.is_for(service)]
    return tuple(sorted(own, key=lambda hook: STAGES.index(hook.stage)))


def read(path: str, stage: str, uid: int, text: str) -> Hook:
    """Raises UsageError for a text that is no script, or declares something else than it may."""
    lines = text.splitlines()
    if not lines or not re.match(r"#!\s*/\S", lines[0]):
        raise UsageError(
            f"the hook {path} is no script: its first line names no interpreter", hint="begin it with #!/bin/sh"
        )
    declared = dict(_declared(path, lines))
    if unknown := ", ".join(sorted(declared.keys() - set(_KEYS))):
        raise UsageError(f"the hook {path} declares an unknown {unknown}", hint=f"known: {', '.join(_KEYS)}")
    if declared.get("run-on") not in (MACHINE, HOST):
        hint = f"a line at its beginning: # devswap: run-on = {MACHINE}, or {HOST}"
        raise UsageError(f"the hook {path} does not declare where it runs", hint=hint)
    seconds = declared.get("seconds", str(_SECONDS))
    if not (seconds.isascii() and seconds.isdecimal() and 1 <= int(seconds) <= _LONGEST):
        raise UsageError(f"the hook {path} declares seconds = {seconds}", hint=f"a number from 1 to {_LONGEST}")
    makes = declared.get("makes", "no")
    if makes not in ("yes", "no") or (makes == "yes" and declared["run-on"] != MACHINE):
        raise UsageError(f"the hook {path} declares makes = {makes}", hint=f"yes, where run-on is {MACHINE}, or no")
    _require_patterns(path, uid, declared.get("files"))
    return Hook(path, stage, declared["run-on"], int(seconds), uid, text, makes=makes == "yes")


def _require_patterns(path: str, uid: int, files: str | None) -> None:
    """Root's word for a file of root's is the hook's text, which only root writes; its answer may be another's."""
    if files is None:
        return
    if uid != 0:
        raise UsageError(
            f"the hook {path} is no file of root's: it may make files below /run/devswap only, not {files}",
            hint="root may put it into /etc/devswap/hooks",
        )
    if not files or not all(_PATTERN.fullmatch(each) for each in files.split()):
        hint = "absolute paths with a folder each; a star is for what is between two slashes"
        raise UsageError(f"the hook {path} declares files = {files}", hint=hint)


def _declared(path: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(key, value) of each line that speaks to devswap; they stand before anything but comments."""
    seen: set[str] = set()
    begun = False
    for line in lines[1:]:
        said = _SAYS.fullmatch(line.strip())
        begun = begun or bool(line.strip() and not line.startswith("#"))
        if said is None:
            continue
        key, equals, value = (part.strip() for part in said[1].partition("="))
        if begun or not equals or not key or key in seen:
            raise UsageError(
                f"the hook {path} has a line that devswap cannot read: {line.strip()}",
                hint="# devswap: KEY = VALUE, each key once, before the first line that is no comment",
            )
        seen.add(key)
        yield key, value


def _shipped() -> Path:
    """Beside the modules in an installed devswap, at the top of a clone."""
    installed = Path(__file__).parent / "shipped_hooks"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "hooks"


def _in_folder(shelf: Shelf, folder: Path) -> Iterator[Hook]:
    try:
        names = sorted(name for name in os.listdir(folder) if not _IGNORED.fullmatch(name))
        if names and shelf.trusted is not None:
            for each in (folder, *(above for above in folder.parents if above.is_relative_to(shelf.top))):
                _require_trusted(each, each.stat(), shelf.trusted)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}") from error
    for name in names:
        path = folder / name
        if name not in STAGES:
            raise UsageError(f"{path} is named by no stage", hint=f"the stages are {', '.join(STAGES)}")
        yield read(str(path), name, shelf.uid, _text(path, shelf.trusted))


def _text(path: Path, trusted: frozenset[int] | None) -> str:
    """What is looked at is what is read: the name may lead elsewhere a moment later.

    What is believed as devswap itself may be a link to another of them.
    """
    path = path if trusted is not None else path.resolve()
    try:
        # a pipe in the place of a file would keep whoever opens it waiting
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot read the hook {path}: {error.strerror}", hint="a link is not followed") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            raise UsageError(
                f"the hook {path} is no file of at most {_LARGEST // 1024} KiB",
                hint="let a short script of that name run what is larger",
            )
        if trusted is not None:
            _require_trusted(path, found, trusted)
        if not found.st_mode & stat.S_IXUSR:
            raise UsageError(f"the hook {path} is not executable", hint=f"chmod +x {path}, or remove it")
        try:
            return file.read().decode()
        except UnicodeDecodeError as error:
            raise UsageError(
                f"the hook {path} is no script: it is not text", hint="let a script of that name run it"
            ) from error


def _require_trusted(path: Path, found: os.stat_result, trusted: frozenset[int]) -> None:
    if found.st_uid not in trusted:
        raise UsageError(f"cannot use {path}: it belongs to uid {found.st_uid}", hint=f"chown it, or remove {path}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"cannot use {path}: others may write it", hint=f"chmod go-w {path}")
