"""Files below a folder that others write: of a running machine, seen from the host through its init process.

Reading this way needs no process in the machine, which makes looking at forty containers cheap. Every path is resolved
as the machine itself would: an absolute symlink (/etc/heat into a virtualenv) stays inside, none leads out to the host.
The same holds for any other folder in which somebody else may leave a symlink for root to follow.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devswap import syscalls


class Rootfs:
    """All below `root`, the root folder of a process or any other; see `opened`."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._root)

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        return syscalls.open_below(self._root, path, flags, mode)

    def read_bytes(self, path: str) -> bytes | None:
        """None where there is no plain file: a pipe would wait, a device act. Raises IsADirectoryError for a folder."""
        found = self.stat(path)
        if found is None or not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return None
        try:
            descriptor = self.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def stat(self, path: str) -> os.stat_result | None:
        """What `path` is, symlinks followed; None where there is nothing."""
        try:
            with self._opened(path, os.O_PATH) as descriptor:
                return os.fstat(descriptor)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # the last: links that lead in a circle
                return None
            raise

    def link_target(self, path: str) -> str | None:
        """Where the symlink `path` leads, as it is written; None for what is none."""
        folder, name = os.path.split(path)
        try:
            with self._opened(folder, os.O_RDONLY | os.O_DIRECTORY) as parent:
                is_link = stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
                return os.readlink(name, dir_fd=parent) if is_link else None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_folder(self, path: str) -> bool:
        found = self.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def names(self, path: str) -> list[str]:
        """The sorted names in the folder `path`; none where there is no such folder."""
        try:
            with self._opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
                return sorted(os.listdir(descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def replace(self, path: str, content: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Write `path` as a whole or not at all: a file beside it, fsync, rename, fsync of the folder."""
        folder, name = os.path.split(path)
        with self._opened(folder, os.O_RDONLY | os.O_DIRECTORY) as parent:
            temporary = f".{name}.devswap"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, mode, dir_fd=parent), "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                uid, gid = owner or self.root_owner()
                os.fchown(file.fileno(), uid, gid)
                os.fsync(file.fileno())
            try:
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except OSError:
                os.unlink(temporary, dir_fd=parent)
                raise
            os.fsync(parent)

    def rename(self, source: str, target: str) -> None:
        """Put the file `source` in the place of `target`, on disk when this returns; both on one file system."""
        (folder, name), (above, final) = os.path.split(source), os.path.split(target)
        flags = os.O_RDONLY | os.O_DIRECTORY
        with self._opened(folder, flags) as parent, self._opened(above, flags) as into:
            os.rename(name, final, src_dir_fd=parent, dst_dir_fd=into)
            os.fsync(into)

    def connect(self, path: str, *, seconds: float) -> socket.socket:
        """A connection to the Unix socket `path`; raises OSError where nobody listens."""
        with self._opened(path, os.O_PATH) as descriptor:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(seconds)
            try:
                connection.connect(f"/proc/self/fd/{descriptor}")
            except OSError:
                connection.close()
                raise
            return connection

    def make_folder(self, path: str, *, mode: int = 0o755) -> None:
        """Create `path` with the folders above it; no error where it exists."""
        if path in ("", "/"):
            return
        if self.stat(path) is not None:
            return
        folder, name = os.path.split(path.rstrip("/"))
        self.make_folder(folder, mode=mode)
        with self._opened(folder, os.O_RDONLY | os.O_DIRECTORY) as parent:
            try:
                os.mkdir(name, mode, dir_fd=parent)
                os.chown(name, *self.root_owner(), dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                pass

    def make_pipe(self, path: str) -> None:
        """A named pipe that only root opens; an older one is replaced."""
        self.remove(path)
        folder, name = os.path.split(path)
        with self._opened(folder, os.O_RDONLY | os.O_DIRECTORY) as parent:
            os.mkfifo(name, 0o600, dir_fd=parent)

    def remove(self, path: str) -> None:
        """Remove a file, a symlink or an empty folder; no error where there is none. A folder in use stays."""
        folder, name = os.path.split(path.rstrip("/"))
        try:
            with self._opened(folder, os.O_RDONLY | os.O_DIRECTORY) as parent:
                is_folder = stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
                (os.rmdir if is_folder else os.unlink)(name, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return

    def root_owner(self) -> tuple[int, int]:
        """Who the machine's root is on the host: not 0 where the container has a user namespace."""
        found = os.fstat(self._root)
        return found.st_uid, found.st_gid

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        descriptor = self.open(path or "/", flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def opened(root: Path) -> Iterator[Rootfs]:
    """Raises FileNotFoundError where there is no such folder."""
    files = Rootfs(root)
    try:
        yield files
    finally:
        files.close()
