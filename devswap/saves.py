"""Which files of a checkout were saved: the kernel says so, nothing is polled (inotify(7))."""

from __future__ import annotations

import os
import select
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from devswap import syscalls
from devswap.errors import DevswapError

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | 0x01000000 | 0x02000000  # folders only, no links
_OVERFLOW, _FOLDER = 0x4000, 0x40000000
_HEADER = struct.Struct("iIII")
_SUFFIXES = (".py", ".ini", ".conf", ".cfg", ".yaml", ".yml", ".json", ".toml")
_NOT_RUN = ("tests", "__pycache__", "node_modules", "build", "dist", "doc", "releasenotes")
_QUIET, _AT_MOST = 0.04, 0.1


class Saves:
    """Watches `folders` with all below that a service may read code or configuration from."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Raises DevswapError where the kernel watches no more."""
        self.descriptor = syscalls.new_watch()
        self._folders: dict[int, str] = {}
        try:
            for folder in folders:
                self._add(str(folder))
        except OSError as error:
            self.close()
            raise DevswapError(
                f"cannot watch {error.filename}: {error.strerror}", hint="sysctl fs.inotify.max_user_watches=524288"
            ) from error

    def close(self) -> None:
        os.close(self.descriptor)

    def now(self) -> set[Path]:
        """What was saved since the last look. For one save several files are written: waited for, 0.1 s at most."""
        found, until = self._read(), time.monotonic() + _AT_MOST
        while found and time.monotonic() < until and select.select([self.descriptor], [], [], _QUIET)[0]:
            found |= self._read()
        return found

    def _add(self, folder: str) -> None:
        for parent, folders, _ in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".") and name not in _NOT_RUN]
            self._folders[syscalls.add_watch(self.descriptor, parent, _MASK)] = parent

    def _read(self) -> set[Path]:
        found: set[Path] = set()
        for watch, mask, name in self._events():
            path = os.path.join(self._folders.get(watch, ""), name)
            if mask & _OVERFLOW:
                found |= {Path(folder) for folder in self._folders.values()}
            elif mask & _FOLDER:
                if mask & (_CREATE | _MOVED_TO) and not name.startswith(".") and name not in _NOT_RUN:
                    found |= self._new_folder(path)
            elif not mask & _CREATE and not name.startswith(".") and name.endswith(_SUFFIXES):
                found.add(Path(path))
        return found

    def _new_folder(self, path: str) -> set[Path]:
        """Files may have been saved in it before it was watched."""
        try:
            self._add(path)
        except OSError:  # it has gone again
            return set()
        return {file for file in Path(path).rglob("*") if file.name.endswith(_SUFFIXES)}

    def _events(self) -> Iterator[tuple[int, int, str]]:
        while True:
            try:
                read = os.read(self.descriptor, 65536)
            except BlockingIOError:
                return
            at = 0
            while at < len(read):
                watch, mask, _, length = _HEADER.unpack_from(read, at)
                at += _HEADER.size + length
                yield watch, mask, os.fsdecode(read[at - length : at].rstrip(b"\0"))
