"""The files of a checkout's own etc/ beside those that a service reads from /etc/PROJECT.

The service goes on reading production's: what a checkout adds to api-paste, policy or rootwrap files is not there.
Contents are compared and never shown: in /etc they may hold secrets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from devswap import rootfs
from devswap.git import Git
from devswap.machine import Machine

_NOT_INSTALLED = re.compile(r"(^|/)(README|\.)|generator|\.sample$|\.rst$|\.py[co]?$")
_KINDS = (("api-paste", "paste"), ("policy", "policy"), ("rootwrap", "rootwrap"), ("rootwrap", ".filters"))


@dataclass(frozen=True)
class File:
    path: str
    """In the machine."""
    source: str
    """In the checkout."""
    kind: str
    """api-paste, policy, rootwrap or other."""
    state: str
    """same, differs or missing, of the machine's file."""
    added: int
    removed: int
    """Lines from the machine's file to the checkout's."""
    changed: bool | None
    """Whether the checkout changes it against production's version; None where that is not known."""

    @property
    def matters(self) -> bool:
        """What is the same, or was never installed here and is as it was, does not."""
        return self.state == "differs" or bool(self.changed) or (self.state == "missing" and self.kind != "other")


def compared(machine: Machine, git: Git, base: str | None, folders: Sequence[str]) -> list[File]:
    """Each file of the checkout's etc/ that has a place in `folders` (/etc/heat); `base` is production's commit."""
    changed = _changed(git, base) if base else None
    found = [
        _compared(machine, git, source, f"{folder}/{inner}", changed)
        for folder in folders
        for source, inner in _sources(git, folder.rpartition("/")[2])
    ]
    return sorted(found, key=lambda file: file.path)


def _sources(git: Git, project: str) -> Iterator[tuple[str, str]]:
    """(path in the checkout, path below /etc/PROJECT): some projects keep theirs in etc/PROJECT, some in etc."""
    for source in git.read("ls-files", "-z", "--", "etc").split("\0"):
        inner = source.removeprefix("etc/").removeprefix(f"{project}/")
        if source and not _NOT_INSTALLED.search(inner):
            yield source, inner


def _changed(git: Git, base: str) -> set[str]:
    """The files that are not as `base` has them, whether that is in a commit or not."""
    names = git.read("diff", "--name-only", "--no-ext-diff", "--no-renames", "-z", base, "--", "etc")
    return set(names.split("\0")) - {""}


def _compared(machine: Machine, git: Git, source: str, path: str, changed: set[str] | None) -> File:
    new = _ours(git, source)
    old = machine.read_text(path)
    lines = [line[0] for line in difflib.ndiff((old or "").splitlines(), new.splitlines())]
    return File(
        path=path,
        source=source,
        kind=next((kind for kind, part in _KINDS if part in source.rpartition("/")[2] or part in source), "other"),
        state="missing" if old is None else "same" if old == new else "differs",
        added=lines.count("+"),
        removed=lines.count("-"),
        changed=None if changed is None else source in changed,
    )


def _ours(git: Git, source: str) -> str:
    """No link in the checkout has root read what is elsewhere: neither the file nor a folder above it."""
    with rootfs.opened(git.folder) as files:
        plain = files.link_target(source) is None and not files.is_folder(source)
        return ((files.read_bytes(source) if plain else None) or b"").decode(errors="replace")
