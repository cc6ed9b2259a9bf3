"""What every reversible change is: capture, do, undo.

`capture` changes nothing, and what it returns is on disk before `do` begins. `undo` puts the captured *state* back:
it is right when `do` never started, stopped half way or finished, when it is called twice, and when another process
calls it next week.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from devswap.errors import Unrecognised
from devswap.journal import Entry
from devswap.machine import Machine
from devswap.outage import Outage


@dataclass(frozen=True)
class Kept:
    """What a way back leaves as it is, by the user's own word."""

    kinds: frozenset[str] = frozenset()
    """Of step: what they changed stays (`restore --skip`)."""
    files: frozenset[tuple[str, str]] = frozenset()
    """(machine, path): what somebody else has made of it stays (`restore --keep-theirs`)."""


NOTHING_KEPT = Kept()


@dataclass(frozen=True)
class Cloud:
    """What a step may touch: machines by address, a private folder for large captures, and a voice."""

    machine: Callable[[str], Machine]
    vault: Path
    """0700, beside the journal; what lies here is referred to by name from the captured."""
    shared: Path
    """Where the captures of what several swaps change are kept."""
    owed: Path
    """The file that names the units a way back could not start again yet: see owed.py."""
    saves: Path
    """Where what a restore takes out of a database is kept for good."""
    say: Callable[[str], None]
    now: Callable[[], str]
    """ISO 8601 with zone."""
    kept: Kept = NOTHING_KEPT
    entries: Callable[[], Sequence[Entry]] = tuple
    """The journal of this swap, as it is now."""
    other_swaps: Callable[[], Sequence[Sequence[Entry]]] = tuple
    """The journals of the others."""
    running: Callable[[], Sequence[Machine]] = tuple
    """The machines that run now; raises DevswapError where they cannot be listed."""
    aside: Callable[[], AbstractContextManager[None]] = nullcontext
    """For what takes long, and nobody else works on: others may change the host within it (see host_lock.py)."""
    outage: Outage = field(default_factory=Outage)
    """Of the service that is given back."""
    moot: list[str] = field(default_factory=list)
    """What the way back found no machine for any more: it went with it."""


@dataclass(frozen=True)
class Step:
    """Subclasses are frozen dataclasses of plain JSON values, so that a plan can be printed and a journal read back."""

    on: str
    """The address of the machine that is changed."""

    kind: ClassVar[str]
    facts: ClassVar[tuple[str, ...]] = ()
    """The beginnings of the facts that differ if it is left as it is; none: it cannot be left."""
    outlives_restart: ClassVar[bool] = False
    """What it changed is still there after the machine was restarted."""
    holds: ClassVar[bool] = False
    """Production does not run as long as it is done."""
    runs: ClassVar[bool] = False
    """Development may run as long as it is done."""
    at_once: ClassVar[bool] = False
    """Where it is shared: each swap that leaves needs its undo, whoever holds it besides.

    So does everybody who starts after a load of the database.
    """
    takes_long: ClassVar[bool] = False
    """It works on databases, for minutes: the host's lock is let go meanwhile, and their claims are held."""
    known: ClassVar[dict[str, type[Step]]] = {}

    def __init_subclass__(cls) -> None:
        Step.known[cls.kind] = cls

    def capture(self, cloud: Cloud) -> Any:
        """What must be known to undo, as JSON."""
        raise NotImplementedError

    def do(self, cloud: Cloud) -> None:
        raise NotImplementedError

    def undo(self, cloud: Cloud, captured: Any) -> None:
        raise NotImplementedError

    def foresee(self, cloud: Cloud, captured: Any) -> None:
        """Raise DevswapError where `undo` is bound to fail: asked before the first undo, while development serves."""

    def leave(self, cloud: Cloud) -> None:
        """End what this very step may still be doing, where its effect stays because other swaps share it."""

    def hand_on(self, cloud: Cloud, captured: Any, others: Sequence[str]) -> None:  # noqa: ARG002
        """A swap leaves, and `others` hold it still: the last of them undoes it."""
        cloud.say(f"the {self.shared} stays as it is: held by {', '.join(others)}")

    def keep(self, cloud: Cloud, captured: Any) -> None:
        """Let the change stand for good (`restore --skip`): what undoing it would have needed may go."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files it changes in its machine. Its undo asks `is_left_to_them` about one that it knows no more."""
        return ()

    @property
    def shared(self) -> str | None:
        """What other swaps may change too (a project's database): the first takes the capture, the last undoes it."""
        return None

    def by_hand(self, captured: Any, vault: Path) -> list[str]:
        """Shell lines that do what `undo` does, for `restore.sh`: read and run by a person without devswap."""
        raise NotImplementedError

    def by_hand_at_last(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        """What comes after those, and after the lines of all that is `at_once`: who was stopped for it starts again."""
        return []

    def of_capture(self, first: Step) -> Step:  # noqa: ARG002
        """This step with what the capture is about that it shares: `first` took it, and may have found other things."""
        return self

    def describe(self) -> tuple[str, str]:
        """What it does and what its undo does, for a person who reads the plan."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


def is_left_to_them(cloud: Cloud, on: str, path: str, found: str, *, can_go: bool = True) -> bool:
    """Whether `path`, which is neither as it was nor as a step left it, stays as it is, by the user's word.

    Raises Unrecognised where nobody has said so: `found` tells what is in it that no swap has put there. A file that
    others need too `can_go` nowhere.
    """
    if (on, path) not in cloud.kept.files:
        message = f"{path} was changed by somebody else meanwhile: {found}"
        raise Unrecognised(message, on=on, path=path, can_go=can_go)
    cloud.say(f"{path} stays as somebody else has made it: {found}")
    return True


def shell(on: str, *argv: str) -> str:
    """A shell line that runs `argv` in the machine `on`."""
    kind, _, name = on.partition(":")
    inside = {"lxc": ["lxc-attach", "-n", name, "--"], "local": []}[kind]
    return shlex.join([*inside, *argv])


def from_json(entry: dict[str, Any]) -> Step:
    """The step a journal names; raises KeyError for a kind this devswap does not know."""
    parameters = {name: _hashable(value) for name, value in entry.items() if name != "kind"}
    return Step.known[entry["kind"]](**parameters)


def _hashable(value: Any) -> Any:
    """JSON knows no tuples: lists become tuples again, so that a step read back equals the one that was written."""
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value
