"""What a preparation ends with: everything is ready, and nothing is stopped yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devswap import plan
from devswap.database_claims import Claimed
from devswap.deployment import Deployment
from devswap.hooks_of_swap import Hooked
from devswap.journal import Journal
from devswap.overlay import Overlay
from devswap.shared import Record
from devswap.slot import Slot
from devswap.steps.apache import RefreshFront
from devswap.steps.database import SyncDatabase
from devswap.steps.haproxy import MoveTraffic
from devswap.steps.mount import Mount
from devswap.steps.patience import LengthenWait
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Step
from devswap.steps.values import PutBackValues


@dataclass(frozen=True)
class Prepared:
    """Everything is ready; only production must make way."""

    journal: Journal
    deployment: Deployment
    overlay: Overlay
    description: dict[str, Any]
    """What the swap says of itself once it is taken over."""
    sync: SyncDatabase | None
    """None where the database has all that the checkout needs."""
    put_back: PutBackValues | None
    """None where nothing is, or where it is noted already."""
    database_returns_first: bool
    """The checkout before this one migrated the database away from what this one can use."""
    replaces: bool
    """The service is swapped already: only its checkout changes."""
    hooked: Hooked
    leaving: tuple[MoveTraffic, ...] = ()
    """HAProxy's servers that are drained and taken out before production stops."""

    sqlite: KeepSqlite | None = None
    """None where it has no such databases, or where they are copied already."""
    fronts: tuple[RefreshFront, ...] = ()
    """Of the applications that are stopped while the database is loaded on the way back."""

    patient: tuple[LengthenWait, ...] = ()
    """Its callers are restarted, so that they wait: before anything is stopped, with an outage of their own."""
    in_apache: bool = False
    """Apache runs development, as it does production."""
    seen: Record | None = None
    """What earlier swaps had captured of its database when that was looked at: see database_plan.py."""
    together: frozenset[str] = frozenset()
    """The swaps that are taken over with this one."""
    keeps_before: bool = False
    """What the checkout before this one used stays mounted: the switch may have to be taken back."""

    @property
    def _place(self) -> Slot:
        return plan.slot(self.journal.swap.service, self.description["slot"])

    @property
    def databases(self) -> list[Claimed]:
        """Those that its steps work on."""
        return [each for step in self._of_databases for each in step.databases]

    @property
    def units(self) -> list[tuple[str, str]]:
        """(machine, unit) of what is restarted before its own production is stopped."""
        return [(step.on, step.unit) for step in self.patient]

    def steps(self, drop_in: str) -> list[Step]:
        own = plan.takeover(
            self.deployment,
            drop_in,
            self._place,
            between=self._between,
            in_apache=self.in_apache,
            made=self.hooked.made,
        )
        return [*self.fronts, *self.leaving, *own]

    def switch_steps(self) -> list[Step]:
        run = plan.run_step(self.deployment, self._place, in_apache=self.in_apache, made=self.hooked.made)
        return [*self.fronts, *self._between, run]

    @property
    def _between(self) -> list[Step]:
        """Between production's stop and development's start."""
        return [*self.hooked.stopped, *self._of_databases, *self.hooked.migrated]

    @property
    def _of_databases(self) -> list[PutBackValues | SyncDatabase | KeepSqlite]:
        return [step for step in (self.put_back, self.sync, self.sqlite) if step is not None]

    def is_outdated(self, step: Step) -> bool:
        """Whether `step` mounts what the checkout before this one used."""
        if self.keeps_before:
            return False
        return isinstance(step, Mount) and not step.target.startswith(self._place.checkout.rpartition("/")[0] + "/")
