"""A machine that is real: written once for all kinds of them; a backend says how to get in.

Files are read and written from the host (see rootfs.py), commands run inside.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from devswap import conversation, frozen, mounts, process, pty, rootfs
from devswap.errors import CommandFailed, DevswapError
from devswap.machine import name_of
from devswap.process import Popen, Result
from devswap.rootfs import Rootfs

_BASE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}

# What systemctl and systemd-run say then (sd-bus), on a line of its own. A program in a unit says other things.
_HUNG_UP = re.compile(
    r"^Failed to connect to bus: (Connection refused|No such file or directory)$"
    r"|^Failed to [a-z ]+: (Transport endpoint is not connected|Connection reset by peer)$",
    re.MULTILINE,
)
_END_SECONDS = 2.0
_ASK_SYSTEMD = {"systemctl", "systemd-run"}


class Backend(Protocol):
    """One kind of machine. `address` is how users write it (lxc:NAME)."""

    @property
    def address(self) -> str: ...

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The argv on the host that runs `argv` inside, as root, with an empty environment."""

    def was_shut(self, failed: Result) -> bool:
        """Whether it was the way in that failed, and nothing has run inside: it is just stopping, say."""

    def addresses(self) -> list[str]:
        """Its IPv4 addresses, as far as they can be seen from outside."""

    def init_pid(self) -> int | None:
        """The machine's first process, as the host numbers it; None while it is stopped."""

    def is_frozen(self) -> bool:
        """Whether all that runs in it is suspended: a command would be, too."""


class BackedMachine:
    """A real machine, reached through its backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __repr__(self) -> str:
        return f"<machine {self.address}>"

    @property
    def address(self) -> str:
        return self._backend.address

    @property
    def name(self) -> str:
        return name_of(self.address)

    def is_running(self) -> bool:
        return self._backend.init_pid() is not None

    def is_frozen(self) -> bool:
        return self._backend.is_frozen()

    def addresses(self) -> list[str]:
        return self._backend.addresses()

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = (0,),
        input: str | None = None,  # noqa: A002
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> Result:
        before = self._pid()
        entered = self._entered(argv, env, user, cwd)
        look = frozen.Watch(self.address, self.is_frozen).look
        try:
            return process.run(entered, ok=ok, input=input, timeout=timeout, stdin=stdin, stdout=stdout, look=look)
        except CommandFailed as error:
            was_in = self._backend.init_pid() == before and not self._backend.was_shut(error.result)
            if was_in and not _is_silent(argv, error.result):
                raise
            restarted = self._restarted()
            told = replace(error.result, stderr=f"{restarted.message}: {restarted.hint}\n")  # others show only that
            raise CommandFailed(restarted.message, result=told, hint=restarted.hint) from error

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
        new_session: bool = True,
    ) -> Popen[bytes]:
        entered = self._entered(argv, env, user, cwd)
        return process.popen(entered, stdin=stdin, stdout=stdout, stderr=stderr, new_session=new_session)

    def exists(self, path: str) -> bool:
        with self._files() as files:
            return files.stat(path) is not None

    def is_folder(self, path: str) -> bool:
        with self._files() as files:
            return files.is_folder(path)

    def read_bytes(self, path: str) -> bytes | None:
        with self._files() as files:
            return files.read_bytes(path)

    def read_text(self, path: str) -> str | None:
        content = self.read_bytes(path)
        return None if content is None else content.decode(errors="replace")

    def link_target(self, path: str) -> str | None:
        with self._files() as files:
            return files.link_target(path)

    def names(self, path: str) -> list[str]:
        with self._files() as files:
            return files.names(path)

    def write_text(self, path: str, text: str, *, mode: int = 0o644, like: str | None = None) -> None:
        with self._files() as files, self._named(path):
            files.make_folder(os.path.dirname(path))
            model = files.stat(like) if like is not None else None
            if model is None:
                files.replace(path, text.encode(), mode=mode)
            else:
                owner = (model.st_uid, model.st_gid)
                files.replace(path, text.encode(), mode=stat.S_IMODE(model.st_mode), owner=owner)

    def rename(self, source: str, target: str) -> None:
        with self._files() as files, self._named(target):
            files.rename(source, target)

    def make_folder(self, path: str) -> None:
        with self._files() as files, self._named(path):
            files.make_folder(path)

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        """What cannot be written says where: the kernel was told a name in a folder that it had open."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{path} in {self.name}") from error

    def open_pipe(self, path: str) -> int:
        with self._files() as files:
            files.make_folder(os.path.dirname(path))
            files.make_pipe(path)
            # Opened both ways: for writing alone open(2) would wait for the reader.
            return files.open(path, os.O_RDWR)

    def remove(self, path: str) -> None:
        with self._files() as files:
            files.remove(path)

    def mount(self, source: Path, target: str, *, readonly: bool) -> None:
        if not source.is_file():
            self.make_folder(target)
        mounts.attach(self._pid(), source, target, readonly=readonly)

    def unmount(self, target: str) -> None:
        for point in self.mounted(target):
            if point == target:
                mounts.detach(self._pid(), target)

    def mounted(self, below: str) -> list[str]:
        pid = self._pid()
        try:
            return mounts.points(pid, below)
        except OSError as error:  # it ends just now, and has left its mounts already
            raise self._stopped() from error

    def open_terminal(self) -> pty.Terminal:
        with self._files() as files:
            return pty.open_terminal(files)

    def converse(self, where: str, text: str, *, seconds: float, tls: bool = False) -> str:
        if not where.startswith("/"):
            host, _, port = where.rpartition(":")
            connection = conversation.connect(self._pid(), host, int(port), seconds, tls=tls)
            return conversation.hold(connection, text, seconds)
        with self._files() as files:
            return conversation.hold(files.connect(where, seconds=seconds), text, seconds)

    def _entered(
        self, argv: Sequence[str], env: Mapping[str, str] | None, user: str | None, cwd: str | None
    ) -> list[str]:
        self._pid()  # look first: a missing machine makes lxc-attach fail like the command itself
        if self.is_frozen():
            raise frozen.told(self.address)
        settings = [f"{name}={value}" for name, value in {**_BASE_ENVIRONMENT, **(env or {})}.items()]
        folder = ["-C", cwd] if cwd else []
        return self._backend.enter(["env", "-i", *folder, *settings, *self._as_user(user), *argv])

    def _as_user(self, user: str | None) -> list[str]:
        """Service users have no login shell, so neither su(1) nor runuser -l will do."""
        if user is None or user == "root":
            return []
        for line in (self.read_text("/etc/passwd") or "").splitlines():
            name, *rest = line.split(":")
            if name == user and len(rest) > 2:
                return ["setpriv", f"--reuid={user}", f"--regid={rest[2]}", "--init-groups", "--"]
        raise DevswapError(f"cannot run as {user} in {self.name}: there is no such user")

    def _pid(self) -> int:
        pid = self._backend.init_pid()
        if pid is None:
            raise self._stopped()
        return pid

    def _stopped(self) -> DevswapError:
        return DevswapError(f"cannot reach {self.address}: it is not running", hint=self._start_hint())

    def _restarted(self) -> DevswapError:
        """It may run again by now; what was looked at or done is in doubt."""
        run = f"once it runs (lxc-info -n {self.name})" if self.address.startswith("lxc:") else "once it runs"
        return DevswapError(f"{self.address} is being stopped, started or restarted", hint=f"try again {run}")

    def _start_hint(self) -> str | None:
        return f"start it: lxc-start -n {self.name}" if self.address.startswith("lxc:") else None

    @contextmanager
    def _files(self) -> Iterator[Rootfs]:
        before = self._pid()
        root = f"/proc/{before}/root"
        try:
            with rootfs.opened(Path(root)) as files:
                yield files
        except OSError as error:
            if self._is_still(before, seconds=_END_SECONDS if str(error.filename) == root else 0.0):
                raise
            raise self._restarted() from error

    def _is_still(self, pid: int, *, seconds: float) -> bool:
        """Whether its first process is the same after so long: one that ends has lost its root some time before."""
        until = time.monotonic() + seconds
        while self._backend.init_pid() == pid:
            if time.monotonic() >= until:
                return True
            time.sleep(0.02)
        return False


def _is_silent(argv: Sequence[str], failed: Result) -> bool:
    """Whether systemd has hung up on who asked it: its last act before a machine ends, and so before it starts."""
    said = failed.stderr
    return argv[0] in _ASK_SYSTEMD and "not been booted with systemd" not in said and _HUNG_UP.search(said) is not None
