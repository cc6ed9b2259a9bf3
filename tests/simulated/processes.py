"""Processes that run in a simulated machine, seen from devswap's side."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from subprocess import TimeoutExpired

from devswap.errors import CommandFailed

# What waits for one of these pipes goes on at once.
_READY = open("/dev/null", "r+b", buffering=0)  # noqa: SIM115


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it wrote."""

    code: int = 0
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class Invocation:
    argv: tuple[str, ...]
    env: Mapping[str, str]
    user: str
    cwd: str
    stdin: str
    closed: bool = True
    """Its whole standard input has been written: it goes on with it even when devswap is gone."""


class _Input(io.BytesIO):
    """The end of the pipe that devswap writes to: closing it tells the process."""

    def __init__(self, closed: Callable[[], None]) -> None:
        super().__init__()
        self._closed = closed
        self.written = b""

    def fileno(self) -> int:
        return _READY.fileno()

    def close(self) -> None:
        if not self.closed:
            self.written = self.getvalue()
            super().close()
            self._closed()


class SimulatedProcess:
    """What Machine.popen returns; `finish` runs the command when somebody looks at the process for the first time.

    `is_over` says whether it has ended by itself; until then `poll` is None.
    """

    def __init__(self, finish: Callable[[str], Outcome], is_over: Callable[[str], bool]) -> None:
        self.stdin: _Input | None = _Input(self._settle)
        self.stdout: io.BytesIO | None = None
        self.stderr: io.BytesIO | None = None
        self.returncode: int | None = None
        self._finish = finish
        self._is_over = is_over
        self.stdout = _Output(self._settle)
        self.stderr = _Output(self._settle)

    def __enter__(self) -> SimulatedProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()

    def poll(self) -> int | None:
        if self.returncode is None and self._is_over(self._read()):
            self._settle()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if timeout is not None and self.poll() is None:
            raise TimeoutExpired("a simulated process", timeout)
        self._settle()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:  # noqa: A002
        self._settle()
        assert isinstance(self.stdout, _Output)
        assert isinstance(self.stderr, _Output)
        return self.stdout.rest(), self.stderr.rest()

    def kill(self) -> None:
        if self.returncode is None:
            self._end(Outcome(-9))

    terminate = kill

    def _read(self) -> str:
        assert self.stdin is not None
        return (self.stdin.written if self.stdin.closed else self.stdin.getvalue()).decode(errors="surrogateescape")

    def _settle(self) -> None:
        if self.returncode is not None:
            return
        try:
            self._end(self._finish(self._read()))
        except CommandFailed as error:
            self._end(Outcome(error.result.code, stderr=error.result.stderr))

    def _end(self, outcome: Outcome) -> None:
        self.returncode = outcome.code
        assert isinstance(self.stdout, _Output)
        assert isinstance(self.stderr, _Output)
        self.stdout.fill(outcome.stdout)
        self.stderr.fill(outcome.stderr)


class _Output(io.BytesIO):
    def __init__(self, asked: Callable[[], None]) -> None:
        super().__init__()
        self._asked = asked

    def fill(self, text: str) -> None:
        self.write(text.encode(errors="surrogateescape"))
        self.seek(0)

    def rest(self) -> bytes:
        return super().read()

    def read(self, size: int | None = -1, /) -> bytes:
        self._asked()
        return super().read(size)

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(size)

    def fileno(self) -> int:
        return _READY.fileno()


Effect = Outcome | Generator[None, None, Outcome]


class UnknownCommandError(AssertionError):
    """The simulation must learn it before a test can rely on it."""
