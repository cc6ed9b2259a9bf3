"""The host's disk below one folder: each change of it is a call that can fail or be the last one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.simulated.calls import Calls

_CHANGES = ("replace", "unlink", "rmdir", "mkdir")


@contextmanager
def watched(monkeypatch: Any, folder: Path, calls: Calls, *, torn: bool = False) -> Iterator[None]:
    """The one place where the os module is patched. `torn`: half of a file can be all that reaches the disk."""
    with monkeypatch.context() as patched:
        for name in _CHANGES:
            patched.setattr(os, name, _watching(name, getattr(os, name), str(folder), calls))
        patched.setattr(os, "fsync", _watching_fsync(os.fsync, str(folder), calls, torn=torn))
        yield


def _watching(name: str, real: Callable[..., None], folder: str, calls: Calls) -> Callable[..., None]:
    def change(path: Any, *arguments: Any, **options: Any) -> None:
        full = os.fspath(path) if options.get("dir_fd") is None else f"{folder}/{path}"
        if not str(full).startswith(folder):
            real(path, *arguments, **options)
            return

        def effect() -> Generator[None, None, None]:
            real(path, *arguments, **options)
            yield

        calls.change(f"disk {name} {os.path.basename(str(full))}", effect())

    return change


def _watching_fsync(real: Callable[[int], None], folder: str, calls: Calls, *, torn: bool) -> Callable[[int], None]:
    def fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.startswith(folder) and torn and os.path.isfile(path):
            calls.change(f"disk write {os.path.basename(path)}", _torn(descriptor, Path(path)))
        elif path.startswith(folder):
            calls.look(f"disk fsync {os.path.basename(path)}", lambda: real(descriptor))
        else:
            real(descriptor)

    return fsync


def _torn(descriptor: int, path: Path) -> Generator[None, None, None]:
    """What was written reaches the disk in two parts; what comes after the first may be a broken disk."""
    written = path.read_bytes()
    os.ftruncate(descriptor, len(written) // 2)
    yield
    os.pwrite(descriptor, written, 0)
    yield


def read_only(state: Path) -> Callable[..., int]:
    """In the place of os.open: nothing below `state` can be written."""
    real = os.open

    def opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if str(path).startswith(str(state)) and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *arguments, **options)

    return opened
