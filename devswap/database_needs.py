"""What a checkout needs of its project's database: found out while production serves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from devswap import database_neighbours, databases, migrating, migrations, plan
from devswap.database_parts import is_half_loaded
from devswap.database_sharing import captured_sources, require_one_name, shared_database
from devswap.database_source import Source
from devswap.deployment import Deployment
from devswap.discovery import sites, units
from devswap.errors import DevswapError, OtherDatabase
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.migrations import Migrations
from devswap.service import Database
from devswap.shared import Record, Shelf
from devswap.slot import Slot
from devswap.source import Checkout
from devswap.steps.apache import RefreshFront
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Step
from devswap.steps.values import PutBackValues


def is_of_migration(step: Step, swap: Swap) -> bool:
    """Whether `step` is there for the sake of the database only."""
    others = isinstance(step, RefreshFront) and (step.on, step.behind) != (swap.machine, swap.unit)
    return others or isinstance(step, SyncDatabase)


def tell_neighbours(host: Host, sync: SyncDatabase) -> None:
    """A migration may take away what production's code still asks for (keystone's also contracts)."""
    swapped = {(journal.swap.machine, journal.swap.unit) for journal in host.journals.all()}
    others = [f"{unit.removesuffix('.service')} in {on}" for on, unit in sync.users if (on, unit) not in swapped]
    if others and sync.commands:
        host.say(f"production's code goes on with the migrated database: {', '.join(others)}")


def put_back(host: Host, deployment: Deployment, journal: Journal, sources: Sequence[Source]) -> PutBackValues | None:
    """What production needs to be as it was, migrated or not; noted once, before development's first start."""
    if any(entry.step["kind"] == PutBackValues.kind for entry in journal.entries):
        return None
    if deployment.service.records is not None:
        sources = databases.records_of(host, deployment)
    # That which lists the others is another kind of database, and has no such records.
    alike = [each for number, each in enumerate(sources) if number == 0 or each.listed is not None]
    step = plan.put_back_values(deployment, tuple(alike)) if alike else None
    if step is None or step.shared is None:
        return step
    shelf = Shelf(host.state / "shared")
    require_one_name(shelf, step.kind, step.sources)
    record = shelf.find(step.shared)
    if record is not None:  # what another swap has noted is how production was
        _tell_changed(host, record, step.sources)
        return step
    return step.looked_at(host.machine)


def require_nothing_pending(host: Host, deployment: Deployment, checkout: Checkout, *, snapshot: bool) -> None:
    """Raises OtherDatabase, by its name, where a checkout may migrate a database that nobody could bring back.

    What such a database is at is not known: production's own migrations are taken for it.
    """
    wanted = deployment.service.database
    if wanted is None:
        return
    try:
        databases.sources_of(host, deployment)
    except OtherDatabase as error:
        folders = [wanted.migrations, *([wanted.index.migrations] if wanted.index else [])]
        theirs = [
            migrations.installed(deployment.machine, deployment.interpreter.site_folders, each) for each in folders
        ]
        ours = [migrations.read(checkout.path, each) for each in folders]
        new = sorted(name for mine, other in zip(ours, theirs, strict=True) for name in mine.known - other.known)
        if new:
            raise OtherDatabase(
                f"{error.message}; {checkout.ref} has migrations that production's package is not seen to have: "
                f"{', '.join(new[:3])}",
                hint="rebase the change on what production runs",
            ) from error
        if snapshot:
            raise OtherDatabase(error.message, hint="leave --snapshot out") from error
        host.say(f"{error.message}; it is left alone, since {checkout.ref} has no migration that production lacks")


def _tell_changed(host: Host, record: Record, sources: Sequence[Source]) -> None:
    """A cell was made or taken away between two checkouts."""
    before, swap = captured_sources(record), record.holders[0]
    for each in sources:
        if not any(each.is_same_as(known) for known in before):
            host.say(f"{each.name} was not there yet when {swap} was taken over: a restore does not bring it back")
    for each in before:
        if not any(each.is_same_as(known) for known in sources):
            host.say(f"{each.name} is not listed any more, as it was when {swap} was taken over")


@dataclass(frozen=True)
class Needs:
    """One checkout beside one database."""

    host: Host
    deployment: Deployment
    checkout: Checkout
    journal: Journal
    source: Source
    others: tuple[Source, ...] = ()
    """What the migration changes besides."""

    def migration(self, place: Slot, *, snapshot: bool) -> tuple[SyncDatabase | None, bool]:
        """(the migration this checkout needs, whether an earlier one must be taken back first).

        Raises DevswapError for a checkout that the database is ahead of, and for a database that is half loaded.
        """
        everything = (self.source, *self.others)
        require_one_name(Shelf(self.host.state / "shared"), SyncDatabase.kind, everything)
        self._require_loaded()
        self._require_ended()
        self._require_captured()
        wanted = self.deployment.service.database
        assert wanted is not None  # noqa: S101 - a source was found through it
        trees = self._trees(wanted)
        digest = "-".join(dict.fromkeys(tree.digest for tree in trees))
        now = [each.open(self.host.machine).revisions() for each in everything]
        applied = [entry.step["digest"] for entry in self.journal.entries if entry.step["kind"] == SyncDatabase.kind]
        first = bool(applied) and (_lacks(trees, now) or digest not in applied)
        if first:
            self._require_alone()
        before = self._revisions_before(now) if first else now
        self._require_known(trees, before)
        pending = _lacks(trees, before)
        if not pending and not snapshot and not (self._relies_on_others(trees) and not applied):
            return None, first
        users = database_neighbours.users(self.host, self.deployment, everything)
        sync = plan.sync_database(self.deployment, place, self.source, users, digest, others=self.others)
        sync = sync if pending else replace(sync, commands=())
        return sync if first or self._record() else sync.looked_at(self.host.machine, self.host.state), first

    def _trees(self, wanted: Database) -> list[Migrations]:
        """The checkout's migrations of `source` and of each of `others`."""
        own = migrations.read(self.checkout.path, wanted.migrations)
        if not wanted.index:
            return [own]
        index = migrations.read(self.checkout.path, wanted.index.migrations)
        return [own, *(own if each.listed else index for each in self.others)]

    def fronts(self, sync: SyncDatabase) -> tuple[RefreshFront, ...]:
        """What has the web servers before the project's other applications ask them again.

        Those are stopped while a dump is loaded, and who asks them meanwhile believes for a minute that they are gone.
        """
        ours = self.deployment.service.project
        services = [each for each in self.host.catalogue() if each.project == ours and each.web]
        machines = [self.host.machine(on) for on in dict.fromkeys(on for on, _ in sync.users)]
        own, found = (self.deployment.machine.address, self.deployment.unit), []
        for place in units.find(services, machines):
            where = (place.machine.address, place.unit)
            if where == own or where not in sync.users or place.site or not sites.units_of(place.machine):
                continue
            with suppress(DevswapError):  # one that could not be swapped: it is not asked for that
                examined = units.examine(place)
                found += [plan.refresh(examined)] if examined.front else []
        return tuple(found)

    def _require_loaded(self) -> None:
        record = self._record()
        if record is not None and is_half_loaded(Shelf(self.host.state / "shared").vault(record.name)):
            raise DevswapError(
                f"the {record.name} is half loaded: what was bringing it back was interrupted",
                hint=f"devswap restore {self.host.journals.called(record.holders[0])}, then try again",
            )

    def _require_ended(self) -> None:
        """The caller has the databases' claims: what migrates one now was left by a devswap that was killed."""
        record = self._record()
        for journal in self.host.journals.all() if record is not None else ():
            swap, shares = journal.swap, record is not None and journal.folder.name in record.holders
            if shares and migrating.is_at_work(self.host.machine, swap.machine, swap.service):
                raise DevswapError(
                    f"a devswap that was killed has left the migration of {swap.service} running",
                    hint=f"devswap restore {journal.called}, then try again",
                )

    def _require_captured(self) -> None:
        """A load of the index takes away the cell that was made since, which nobody could compare then."""
        record = self._record()
        known = captured_sources(record) if record is not None else ()
        new = [each.name for each in self.others if known and not any(each.is_same_as(other) for other in known)]
        if record is not None and new:
            first = record.holders[0]
            raise DevswapError(
                f"cannot bring {', '.join(new)} back later: it was not there yet when {first} was taken over",
                hint=f"devswap restore {self.host.journals.called(first)}, then try again",
            )

    def _relies_on_others(self, trees: Sequence[Migrations]) -> bool:
        """Another swap has migrated for this checkout, too: it must not be taken back under it."""
        return self._record() is not None and _lacks(trees, self._revisions_before([]))

    def _require_known(self, trees: Sequence[Migrations], revisions: Sequence[Sequence[str]]) -> None:
        for tree, names in zip(trees, revisions, strict=False):
            strangers = tree.strangers(names)
            if not strangers:
                continue
            raise DevswapError(
                f"the database of {self.deployment.service.project} is newer than {self.checkout.ref}: it is at "
                f"{', '.join(sorted(strangers))}, which this checkout does not know",
                hint="rebase the change on what production runs, or take a newer branch",
            )

    def _require_alone(self) -> None:
        """Loading the dump under another swap's service would take its migration away."""
        record = self._record()
        others = [holder for holder in record.holders if holder != self.journal.folder.name] if record else []
        if others:
            raise DevswapError(
                f"cannot switch: the database was migrated, and {', '.join(others)} still uses it as it is",
                hint=f"restore the others first: devswap restore {self.host.journals.called(others[0])}",
            )

    def _revisions_before(self, now: list[list[str]]) -> list[list[str]]:
        """Of `source` and each of `others`, as they were captured."""
        record = self._record()
        if record is None:
            return now
        told = [record.captured, *record.captured.get("others", ())]
        return [list(each["revisions"]) for each in told]

    def _record(self) -> Record | None:
        """What an earlier step captured of this database, if one has changed it."""
        return Shelf(self.host.state / "shared").find(shared_database(self.source))


def _lacks(trees: Sequence[Migrations], revisions: Sequence[Sequence[str]]) -> bool:
    """Whether one of the schemas at `revisions` lacks migrations of its tree."""
    return any(tree.missing_in(names) for tree, names in zip(trees, revisions, strict=False))
