"""Every call that leaves devswap passes here: it is counted, can be made to fail, and shows the instants of a kill."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from devswap.errors import CommandFailed
from devswap.process import Result

T = TypeVar("T")


class Kind(Enum):
    """What goes wrong with one call."""

    RAISES = "raises before it has any effect"
    HALF = "raises with half of its effect"
    LATE = "raises after its whole effect"
    CTRL_C = "is interrupted before it has any effect"
    CTRL_C_LATE = "is interrupted after its whole effect"


@dataclass(frozen=True)
class Fault:
    """The call `number` fails in this way; `part` is after which part of its effect, for HALF."""

    number: int
    kind: Kind
    part: int = 1


class Calls:
    """`instant` is called wherever a kill would leave the world in another state: before, within and after changes."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.instant: Callable[[str], None] | None = None
        self.names: list[str] = []
        self.parts: list[int] = []
        """How many parts the effect of each call has; none for one that only looks."""

    def begin(self, fault: Fault | None = None, instant: Callable[[str], None] | None = None) -> None:
        self.fault, self.instant, self.names, self.parts = fault, instant, [], []

    def look(self, name: str, answer: Callable[[], T]) -> T:
        """A call that changes nothing."""
        kind = self._next(name)
        self._fail(name, kind, {Kind.RAISES, Kind.HALF, Kind.CTRL_C})
        found = answer()
        self._fail(name, kind, {Kind.LATE, Kind.CTRL_C_LATE})
        return found

    def change(self, name: str, effect: Generator[None, None, T]) -> T:
        """A call whose `effect` yields after each part that can be all there is of it."""
        kind = self._next(name)
        number = len(self.names) - 1
        self._show(f"before {number} {name}")
        self._fail(name, kind, {Kind.RAISES, Kind.CTRL_C})
        while True:
            try:
                next(effect)
            except StopIteration as stop:
                done: T = stop.value
                break
            self.parts[number] += 1
            self._show(f"within {number} {name}")
            if kind is Kind.HALF and self.fault is not None and self.fault.part == self.parts[number]:
                effect.close()
                self._fail(name, kind, {Kind.HALF})
        self._show(f"after {number} {name}")
        self._fail(name, kind, {Kind.LATE, Kind.CTRL_C_LATE})
        return done

    def _next(self, name: str) -> Kind | None:
        self.names.append(name)
        self.parts.append(0)
        return self.fault.kind if self.fault is not None and self.fault.number == len(self.names) - 1 else None

    def _show(self, what: str) -> None:
        if self.instant is not None:
            self.instant(what)

    def _fail(self, name: str, kind: Kind | None, kinds: set[Kind]) -> None:
        if kind not in kinds:
            return
        if kind in (Kind.CTRL_C, Kind.CTRL_C_LATE):
            signal.raise_signal(signal.SIGINT)  # whatever handles it now: a rollback does not let itself be disturbed
            return
        if name.startswith(("file ", "disk write ")):
            raise OSError(errno.EIO, f"Input/output error ({name})")
        if name.startswith("disk "):
            raise OSError(errno.ENOSPC, f"No space left on device ({name})")
        raise CommandFailed(f"{name} failed with 255: lost", result=Result(tuple(name.split()), 255, "", "lost"))
