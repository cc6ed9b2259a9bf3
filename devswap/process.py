"""Starts processes; the only module that does.

Everything is an argv list. Where a command runs (container, host, as whom) is already part of the argv or of the
parameters; nothing here knows about machines.
"""

from __future__ import annotations

import logging
import math
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from devswap.errors import CommandFailed, CommandTimeout
from devswap.masking import mask

log = logging.getLogger(__name__)

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
STDOUT = subprocess.STDOUT
Popen = subprocess.Popen
TimeoutExpired = subprocess.TimeoutExpired

_TAIL_LINES = 15
_LOOK_SECONDS = 1.0
_LEFT_SECONDS = 1.0
"""So long what a killed process has written is still read."""


@dataclass(frozen=True)
class Result:
    """How a process ended: its code (negative: the signal) and what it wrote, decoded as UTF-8."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def tail(self) -> str:
        """The last lines of what it said, masked: errors first, then the output."""
        said = self.stderr.strip() or self.stdout.strip()
        return mask("\n".join(said.splitlines()[-_TAIL_LINES:]))


@dataclass(frozen=True)
class Identity:
    """Whom a host process runs as; git and everything else that a user's files can steer never runs as root."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def run(
    argv: Sequence[str],
    *,
    ok: Collection[int] = (0,),
    input: str | None = None,  # noqa: A002 - subprocess's own word for it
    stdin: IO[bytes] | int | None = None,
    stdout: IO[bytes] | int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    identity: Identity | None = None,
    look: Callable[[], None] | None = None,
) -> Result:
    """Run `argv` to its end and return its Result; `look` is called each second until then, and may raise.

    `input` is text for its standard input (default: nothing to read); `stdin` and `stdout` take open files instead, for
    streams too large for memory. `env` replaces the environment. `timeout` is in seconds.
    Raises CommandFailed for a code not in `ok`, for a program that does not exist (code 127), and CommandTimeout.
    """
    shown = mask(shlex.join(argv))
    log.debug("run %s", shown)
    with _start(
        argv,
        stdin=PIPE if input is not None else (stdin if stdin is not None else DEVNULL),
        stdout=stdout if stdout is not None else PIPE,
        stderr=PIPE,
        env=env,
        cwd=cwd,
        identity=identity,
    ) as process:
        try:
            out, err = _communicate(process, input.encode() if input is not None else None, timeout, look)
        except subprocess.TimeoutExpired as error:
            process.kill()
            out, err = _left(process)
            late = _result(argv, process.wait(), out, err)
            raise CommandTimeout(f"{shown} had not ended after {timeout:.0f} s", result=late) from error
        except BaseException:
            process.kill()
            raise
    result = _result(argv, process.returncode, out, err)
    log.debug("exit %d %s", result.code, mask(result.stderr.strip()[-2000:]))
    if result.code not in ok:
        raise CommandFailed(f"{shown} failed with {result.code}: {result.tail}", result=result)
    return result


def _communicate(
    process: subprocess.Popen[bytes], text: bytes | None, timeout: float | None, look: Callable[[], None] | None
) -> tuple[bytes, bytes]:
    if look is None:
        return process.communicate(text, timeout=timeout)
    if process.stdin is not None:
        # called again after a timeout, communicate() forgets what it has not written by then
        threading.Thread(target=_feed, args=(process.stdin, text or b""), daemon=True).start()
        process.stdin = None
    deadline = time.monotonic() + timeout if timeout is not None else math.inf
    while True:
        left = max(0.0, deadline - time.monotonic())
        try:
            return process.communicate(timeout=min(left, _LOOK_SECONDS))
        except subprocess.TimeoutExpired:
            if left <= _LOOK_SECONDS:
                raise
        look()


def _feed(stream: IO[bytes], content: bytes) -> None:
    with suppress(BrokenPipeError), stream:  # who reads no more says why by how it ends
        stream.write(content)


def _left(killed: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What it has written; something that it left in the background may hold its output as long as it likes."""
    try:
        return killed.communicate(timeout=_LEFT_SECONDS)
    except subprocess.TimeoutExpired as held:
        return held.output or b"", held.stderr or b""


def popen(
    argv: Sequence[str],
    *,
    stdin: IO[Any] | int | None = None,
    stdout: IO[Any] | int | None = None,
    stderr: IO[Any] | int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    identity: Identity | None = None,
    new_session: bool = True,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` and return the running process; the caller waits for it.

    A `new_session` keeps the terminal's Ctrl-C and hang-up from it; what talks to the user goes without.
    """
    log.debug("start %s", mask(shlex.join(argv)))
    return _start(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=env,
        cwd=cwd,
        identity=identity,
        new_session=new_session,
        pass_fds=pass_fds,
    )


def _start(
    argv: Sequence[str],
    *,
    stdin: IO[Any] | int | None,
    stdout: IO[Any] | int | None,
    stderr: IO[Any] | int | None,
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
    identity: Identity | None,
    new_session: bool = True,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    who: dict[str, Any] = {}
    if identity is not None:
        who = {"user": identity.uid, "group": identity.gid, "extra_groups": list(identity.groups)}
    try:
        return subprocess.Popen(
            list(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            # Ctrl-C and a hang-up are this program's to answer: they must not end the client that loads a dump.
            start_new_session=new_session,
            pass_fds=tuple(pass_fds),
            **who,
        )
    except FileNotFoundError as error:
        missing = Result(tuple(argv), 127, "", str(error))
        raise CommandFailed(f"cannot run {argv[0]}: {error.strerror}", result=missing) from error


def _result(argv: Sequence[str], code: int, out: bytes | None, err: bytes | None) -> Result:
    return Result(tuple(argv), code, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))
