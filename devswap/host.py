"""This host, as the use cases see it: its machines, its state, its user, and a voice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from devswap.hooks import Hook
from devswap.invoker import UserHome
from devswap.journal import Journal, Journals, Owner
from devswap.machine import Machine
from devswap.service import Catalogue
from devswap.settings import Settings
from devswap.steps.step import Cloud


@dataclass(frozen=True)
class Host:
    """Everything outside that a use case touches comes through here; tests pass a simulated one."""

    settings: Settings
    catalogue: Callable[[], Catalogue]
    """Read when first needed: `restore` works without one."""
    hooks: Callable[[str, str], tuple[Hook, ...]]
    """Those of a project and a service: see hooks.py."""
    home: Callable[[], UserHome]
    owner: Owner
    running: Callable[[], Sequence[Machine]]
    stopped: Callable[[], Sequence[str]]
    """The names of the machines that exist and do not run."""
    machine: Callable[[str], Machine]
    """By address; raises DevswapError where there is none."""
    choose: Callable[[str, Sequence[str]], int | None]
    """Ask a person for one of several; None where nobody can be asked."""
    now: Callable[[], str]
    """ISO 8601 with zone, to the microsecond."""
    say: Callable[[str], None]
    aside: Callable[[], AbstractContextManager[None]] = nullcontext
    """Within it the host's lock is let go, where it is held: see host_lock.py."""

    @property
    def state(self) -> Path:
        return self.settings.state_dir

    @property
    def journals(self) -> Journals:
        return Journals(self.state)

    @contextmanager
    def changing(self, *, seconds: float | None = 300.0) -> Iterator[Host]:
        """The host's lock is held; what takes long in the host that is yielded lets it go meanwhile."""
        with self.journals.changing(seconds=seconds, say=self.say) as lock:
            yield replace(self, aside=lock.aside)

    def cloud(self, journal: Journal) -> Cloud:
        return Cloud(
            machine=self.machine,
            vault=journal.folder,
            owed=journal.folder / "owed.json",
            shared=self.state / "shared",
            saves=self.state / "saved",
            say=self.say,
            now=self.now,
            aside=self.aside,
            running=self.running,
            entries=lambda: journal.entries,
            other_swaps=lambda: [each.entries for each in self.journals.all() if each.folder != journal.folder],
        )
