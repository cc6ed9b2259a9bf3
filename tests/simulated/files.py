"""A machine's file tree in memory, resolved as the kernel does: symlinks stay inside, mounts hide what is below."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

_LINKS = 40


@dataclass
class File:
    content: bytes
    mode: int = 0o644


@dataclass
class Link:
    target: str


@dataclass
class Pipe:
    pass


@dataclass
class Folder:
    names: dict[str, File | Link | Pipe | Folder] = field(default_factory=dict)


Node = File | Link | Pipe | Folder


@dataclass
class Mounted:
    """The host's folder or file `source` hides what is at `target`."""

    source: str
    target: str
    readonly: bool


@dataclass
class Files:
    root: Folder = field(default_factory=Folder)
    mounts: list[Mounted] = field(default_factory=list)
    """In the order in which they were made."""

    def find(self, path: str) -> Node | Path | None:
        """What `path` is, symlinks followed; a Path is a file of the host that is mounted."""
        real = self._resolved(path)
        return None if real is None else self._at(real)

    def read(self, path: str) -> bytes | None:
        found = self.find(path)
        if isinstance(found, Path):
            return found.read_bytes() if found.exists() else None
        if isinstance(found, Folder):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        return found.content if isinstance(found, File) else None

    def exists(self, path: str) -> bool:
        found = self.find(path)
        return found.exists() if isinstance(found, Path) else found is not None

    def link_target(self, path: str) -> str | None:
        folder, name = self._parent(path)
        found = folder.names.get(name) if isinstance(folder, Folder) else None
        return found.target if isinstance(found, Link) else None

    def is_folder(self, path: str) -> bool:
        found = self.find(path)
        return found.is_dir() if isinstance(found, Path) else isinstance(found, Folder)

    def names(self, path: str) -> list[str]:
        found = self.find(path)
        if isinstance(found, Folder):
            return sorted(found.names)
        return sorted(os.listdir(found)) if isinstance(found, Path) and found.is_dir() else []

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """The folder must exist; a symlink with this name is replaced, not followed."""
        self._put(path, File(content, mode))

    def link(self, path: str, target: str) -> None:
        self._put(path, Link(target))

    def make_pipe(self, path: str) -> None:
        self._put(path, Pipe())

    def make_folder(self, path: str) -> None:
        if path in ("", "/") or self.exists(path):
            return
        self.make_folder(os.path.dirname(path.rstrip("/")))
        self._put(path.rstrip("/"), Folder())

    def remove(self, path: str) -> None:
        """As unlink(2) and rmdir(2) from the host: a symlink itself, an empty folder, and what is mounted on that."""
        folder, name = self._parent(path.rstrip("/"))
        if folder is None:
            return
        self.mounts = [each for each in self.mounts if each.target != path.rstrip("/")]
        if isinstance(folder, Path):
            _remove_on_host(folder / name)
            return
        found = folder.names.get(name)
        if isinstance(found, Folder) and found.names:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)
        folder.names.pop(name, None)

    def mount(self, source: str, target: str, *, readonly: bool) -> None:
        real = self._resolved(target)
        if real is None or not self.exists(target) or self.is_folder(target) == os.path.isfile(source):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", target)
        self.mounts.append(Mounted(source, real, readonly))

    def unmount(self, target: str) -> None:
        """All that is mounted there, one on the other; no error where nothing is."""
        self.mounts = [each for each in self.mounts if each.target != target]

    def mounted(self, below: str) -> list[str]:
        """Outermost first, as /proc/PID/mountinfo lists what was mounted in that order."""
        return [each.target for each in self.mounts if f"{each.target}/".startswith(f"{below.rstrip('/')}/")]

    def clear(self, path: str) -> None:
        """Everything below `path` goes, mounts as well: what a restart does to /run."""
        self.mounts = [each for each in self.mounts if not f"{each.target}/".startswith(f"{path}/")]
        found = self.find(path)
        if isinstance(found, Folder):
            found.names.clear()

    def clear_mounts(self) -> None:
        """Wherever they are: no mount outlives a restart."""
        self.mounts = []

    def _put(self, path: str, node: Node) -> None:
        folder, name = self._parent(path)
        if folder is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if isinstance(folder, Path):
            self._put_on_host(folder / name, node, path)
            return
        if isinstance(folder.names.get(name), Folder) and not isinstance(node, Folder):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        folder.names[name] = node

    def _put_on_host(self, target: Path, node: Node, path: str) -> None:
        above = self._mount_above(self._resolved(os.path.dirname(path)) or "/")
        if above is not None and above.readonly:
            raise OSError(errno.EROFS, "Read-only file system", path)
        if isinstance(node, Folder):
            target.mkdir()
        elif isinstance(node, File):
            target.write_bytes(node.content)
            target.chmod(node.mode)

    def _mount_above(self, real: str) -> Mounted | None:
        """The mount that `real` lies in: the innermost, and of several on one folder the last."""
        if not self.mounts:
            return None
        found = [each for each in self.mounts if f"{real}/".startswith(f"{each.target}/")]
        return _innermost(found) if found else None

    def _parent(self, path: str) -> tuple[Folder | Path | None, str]:
        above, name = os.path.split(path)
        found = self.find(above or "/")
        return (found if isinstance(found, Folder | Path) else None), name

    def _at(self, real: str) -> Node | Path | None:
        real = "/" + real.strip("/")
        mount = self._mount_above(real)
        if mount is not None:
            return Path(mount.source + real[len(mount.target) :])
        here: Node | None = self.root
        for part in [part for part in real.split("/") if part]:
            here = here.names.get(part) if isinstance(here, Folder) else None
        return here

    def _resolved(self, path: str) -> str | None:
        """The path without any symlink; None where a part on the way is missing."""
        return self._straight(path) or self._followed(path)

    def _straight(self, path: str) -> str | None:
        """The path itself, where there is neither a symlink nor a mount on it."""
        parts = [part for part in path.split("/") if part]
        here: Node | None = self.root
        for part in parts:
            here = here.names.get(part) if isinstance(here, Folder) else None
            if here is None or isinstance(here, Link) or part in (".", ".."):
                return None
        real = "/" + "/".join(parts)
        return None if self._mount_above(real) else real

    def _followed(self, path: str) -> str | None:
        todo, links = [part for part in path.split("/") if part], 0
        done: list[str] = []
        while todo:
            part = todo.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            found = self._at("/".join([*done, part]))
            if isinstance(found, Link):
                links += 1
                if links > _LINKS:
                    raise OSError(errno.ELOOP, "Too many levels of symbolic links", path)
                done = [] if found.target.startswith("/") else done
                todo = [piece for piece in found.target.split("/") if piece and piece != "."] + todo
                continue
            if found is None or (isinstance(found, Path) and not found.exists()):
                return None
            if part != ".":
                done.append(part)
        return "/" + "/".join(done)


def _innermost(found: list[Mounted]) -> Mounted:
    deepest = max(len(each.target) for each in found)
    return [each for each in found if len(each.target) == deepest][-1]


def _remove_on_host(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
