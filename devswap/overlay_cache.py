"""Built overlays on the host: found by what they were made from, never taken half-built, never built twice at once.

    <cache>/overlays/<key>/            an overlay, whole: it got its name by a rename
    <cache>/overlays/<key>/devswap.json   what was installed into it from where
    <cache>/overlays/.<key>.part/      one being built (overlay/, build/); swept if its builder is gone
    <cache>/overlays/.<key>.lock       held by the builder
    <cache>/overlays/.<kin>.kin        the key of the newest of several that differ in the project's version only

A build runs as the service's user; when it has ended all files become root's, so that no service can change what others
run. Nothing in a folder that user can write is ever written, read or followed by root before that.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devswap import lock_holders
from devswap.errors import DevswapError

_LOCK_FILE = "devswap.json"


@dataclass(frozen=True)
class Workplace:
    """An overlay under construction: `overlay` becomes the overlay, `build` is thrown away."""

    overlay: Path
    build: Path


class OverlayCache:
    """The overlays below the folder `cache`, which only root may write."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / "overlays"

    def path(self, key: str) -> Path:
        return self._folder / key

    def read(self, key: str) -> dict[str, Any] | None:
        """What was written about the overlay when it was whole; None if there is none."""
        try:
            found: dict[str, Any] = json.loads((self.path(key) / _LOCK_FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found

    @contextmanager
    def workplace(self, key: str, *, uid: int, gid: int, waiting: Callable[[str], None]) -> Iterator[Workplace]:
        """Fresh folders for building `key` as `uid`; gone afterwards, unless `complete` was called.

        `waiting` is called if another devswap builds the same one. The caller looks for the finished overlay again.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        with self._lock(key, waiting):
            part = self._part(key)
            shutil.rmtree(part, ignore_errors=True)
            work = Workplace(part / "overlay", part / "build")
            try:
                part.mkdir(mode=0o755)
                for path in (work.overlay, work.build, work.build / "home", work.build / "tmp"):
                    path.mkdir(mode=0o755)
                    os.chown(path, uid, gid)
                yield work
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def copy_kin(self, kin: str, work: Workplace) -> dict[str, Any] | None:
        """Fill `work` with the newest of its kin and return what was noted about that; None if there is none."""
        try:
            key = (self._folder / f".{kin}.kin").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        facts = self.read(key)
        if facts is not None:
            shutil.copytree(self.path(key), work.overlay, symlinks=True, dirs_exist_ok=True)
        return facts

    def complete(self, key: str, work: Workplace, facts: dict[str, Any], *, kin: str | None) -> Path:
        """Make the built overlay root's, note `facts` in it and give it its name; nothing may run in it any more."""
        _require_plain(work.overlay)
        _become_owner(work.overlay)
        note = work.overlay / _LOCK_FILE
        note.unlink(missing_ok=True)
        descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        work.overlay.rename(self.path(key))
        if kin is not None:
            name = work.build.parent / "kin"
            name.write_text(key, encoding="utf-8")
            name.rename(self._folder / f".{kin}.kin")
        return self.path(key)

    def _part(self, key: str) -> Path:
        return self._folder / f".{key}.part"

    @contextmanager
    def _lock(self, key: str, waiting: Callable[[str], None]) -> Iterator[None]:
        with (self._folder / f".{key}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting(lock_holders.told(file.fileno()))
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        """Remove what killed builders left; one that lives holds its lock."""
        for part in self._folder.glob(".*.part"):
            with part.with_suffix(".lock").open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(part, ignore_errors=True)


def _require_plain(root: Path) -> None:
    """Raise for what a wheel cannot bring: a link or a pipe that root, or another service, would follow or open.

    The virtualenv's own links stay: nobody but its interpreter follows them.
    """
    for parent, folders, files, descriptor in os.fwalk(root):
        place = Path(parent).relative_to(root)
        for name in (*folders, *files):
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            own = stat.S_ISLNK(mode) and (place == Path("bin") or place / name == Path("lib64"))
            if not (own or stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise DevswapError(
                    f"cannot use the overlay: its build has left {place / name}, which is neither file nor folder",
                    hint="whose doing is that? look at the checkout's setup.py, and at what was to be installed",
                )


def _become_owner(root: Path) -> None:
    """Everything below `root` root's, and readable by all. Links are changed themselves, never what they lead to."""
    for parent, folders, files, descriptor in os.fwalk(root):
        del parent
        os.fchown(descriptor, os.geteuid(), os.getegid())
        os.fchmod(descriptor, 0o755)
        for name in (*folders, *files):
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            os.chown(name, os.geteuid(), os.getegid(), dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(mode):
                os.chmod(name, 0o755 if mode & stat.S_IXUSR else 0o644, dir_fd=descriptor)
