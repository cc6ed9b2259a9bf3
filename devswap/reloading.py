"""Starts development again when a file of its checkout is saved (--reload)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devswap import plan, systemd, way
from devswap.errors import Busy, CommandFailed, DevswapError
from devswap.foreground import Foreground
from devswap.journal import Swap
from devswap.machine import Machine
from devswap.saves import Saves

_END_SECONDS = 3.0
_AGAIN_SECONDS = 1.0
"""Between two looks at whether others have done with a database."""
_COMPILE = "import sys; path, name = sys.argv[1:]; compile(open(path, 'rb').read(), name, 'exec', dont_inherit=True)"


@dataclass
class Reloading:
    """Looks for saves between the bytes of a foreground run; never disturbs somebody who debugs."""

    machine: Machine
    swap: Swap
    saves: Saves
    begin: Callable[[float], None]
    """Starts the unit again; is told the time of the save."""
    free: Callable[[], AbstractContextManager[None]]
    """Raises Busy while somebody works on a database of the service: who loads one has it stopped."""
    edited: Path
    """Of the person's own copies of files of /etc: see edits.py."""

    def __post_init__(self) -> None:
        self._changed: set[Path] = set()
        self._waits = False
        self._busy_at = -_AGAIN_SECONDS

    def look(self, shown: Foreground) -> None:
        """Start again if something was saved that can be run, and nobody works on what it uses."""
        self._changed |= that_count(self.saves.now(), self.edited)
        if not self._changed or shown.is_debugged() or time.monotonic() - self._busy_at < _AGAIN_SECONDS:
            return
        saved_at, changed = time.monotonic(), sorted(self._changed)
        with ExitStack() as until_begun:
            try:
                until_begun.enter_context(self.free())
            except Busy as error:
                if not self._waits:
                    shown.say(error.message)
                self._waits, self._busy_at = True, time.monotonic()
                return
            self._changed, self._waits = set(), False
            self._again(shown, changed, saved_at)

    def _again(self, shown: Foreground, changed: list[Path], saved_at: float) -> None:
        names = self._names(changed)
        if wrong := self._wrong(changed):
            shown.say(f"{wrong}; waiting for the next save")
            return
        shown.say(f"{names}: starting {self.swap.service} again")
        self._end(shown)
        if not shown.interrupted:
            self.begin(saved_at)

    def _end(self, shown: Foreground) -> None:
        """As Ctrl-C does it, which services understand as: at once. Production is not ended."""
        if not way.is_held(self.machine, self.swap):
            raise DevswapError(f"{self.swap.service} is production's again: {self.machine.address} was restarted")
        self.machine.run(["systemctl", "kill", "--signal=INT", "--", self.swap.unit], ok=(0, 1))  # 1: it has ended
        if not shown.wait(_END_SECONDS):
            systemd.kill(self.machine, self.swap.unit)
            shown.wait(_END_SECONDS)
        systemd.stop(self.machine, self.swap.unit)

    def _names(self, changed: list[Path]) -> str:
        names = [self._name(path) for path in changed]
        return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root(path))) if path.parent != self.edited else "a file of /etc"

    def _root(self, path: Path) -> Path:
        return next(folder for folder in folders(self.swap) if path.is_relative_to(folder))

    def _wrong(self, changed: list[Path]) -> str:
        """The first error in the syntax of `changed`; this Python is asked first, and the machine's knows better."""
        for path in changed:
            if path.suffix != ".py" or not path.is_file():
                continue
            try:
                compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                if not self._compiles_there(path):
                    line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
                    said = error.msg if isinstance(error, SyntaxError) else str(error)
                    return f"{path.relative_to(self._root(path))}{line}: {said}"
        return ""

    def _compiles_there(self, path: Path) -> bool:
        place = plan.slot(self.swap.service, self.swap.slot)
        if not path.is_relative_to(self.swap.checkout):
            return False
        there = f"{place.checkout}/{path.relative_to(self.swap.checkout)}"
        try:
            # compiled, not run; without site, so that nothing of the checkout is imported on the way
            self.machine.run([place.python, "-I", "-S", "-c", _COMPILE, there, path.name])
        except CommandFailed:
            return False
        return True


def that_count(saved: set[Path], edited: Path) -> set[Path]:
    """Without the copies of files of /etc: one is used when the index beside them says so, which is written last."""
    return {path for path in saved if not path.is_relative_to(edited / "files")}


def folders(swap: Swap) -> list[Path]:
    """The checkout and those of libraries."""
    return [Path(swap.checkout), *(Path(each["checkout"]) for each in swap.libraries)]


@contextmanager
def watched(swap: Swap, edited: Path) -> Iterator[Saves]:
    saves = Saves([*folders(swap), edited])
    try:
        yield saves
    finally:
        saves.close()
