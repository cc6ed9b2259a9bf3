"""The host's disk below one folder: each change of it is a call that can fail or be the last one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.simulated.calls import Calls

_CHANGES = ("replace", "unlink", "rmdir", "mkdir")


@contextmanager
def watched(monkeypatch: Any, folder: Path, calls: Calls) -> Iterator[None]:
    """The one place where the os module is patched."""
    with monkeypatch.context() as patched:
        for name in _CHANGES:
            patched.setattr(os, name, _watching(name, getattr(os, name), str(folder), calls))
        patched.setattr(os, "fsync", _watching_fsync(os.fsync, str(folder), calls))
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


def _watching_fsync(real: Callable[[int], None], folder: str, calls: Calls) -> Callable[[int], None]:
    def fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.startswith(folder):
            calls.look(f"disk fsync {os.path.basename(path)}", lambda: real(descriptor))
        else:
            real(descriptor)

    return fsync
