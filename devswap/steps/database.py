"""Brings a project's database to the checkout's migrations, and back by a dump: no project can downgrade."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from devswap import database_by_hand, database_parts, database_source, database_users
from devswap.database import Database
from devswap.database_by_hand import Load
from devswap.database_parts import Part, Saved, part_from_json
from devswap.database_sharing import require_one_name, shared_database
from devswap.database_source import Source
from devswap.errors import DevswapError
from devswap.journal import flush_folder, make_private
from devswap.machine import Machine
from devswap.migrating import Migrating
from devswap.shared import Shelf
from devswap.steps.step import Cloud, Step, from_json, shell

_STATEMENT_SECONDS = 600.0
SYNC_SECONDS = 1800.0
_SPACE = 1.5  # a compressed dump is smaller than the rows: this leaves room for the save on restore
_LARGER = "free some space there, or set DEVSWAP_STATE_DIR to a larger place"


@dataclass(frozen=True)
class SyncDatabase(Step):
    """Run the project's own migration commands, with a dump taken before."""

    service: str
    project: str
    source: Source
    commands: tuple[tuple[str, ...], ...]
    user: str
    group: str
    environment: tuple[tuple[str, str], ...]
    """What devswap adds to production's own, which may be secret and is in no journal."""
    users: tuple[tuple[str, str], ...]
    """(address, unit) of every service on this database: none may write while a dump is loaded."""
    digest: str
    """Of the migrations' text: what is applied is told by it, not by the revision's name alone."""
    seconds: float = SYNC_SECONDS
    """How long one migration command may take."""
    revisions: tuple[str, ...] = ()
    schema: str = ""
    """With `revisions` and `rows`, what `looked_at` found while production served; empty: asked with the dump."""
    rows: tuple[tuple[str, int], ...] = ()
    others: tuple[Part, ...] = ()
    """What the same commands change besides (nova's API and cells): captured with it, and brought back with it.

    First what others are found through.
    """
    listed: tuple[tuple[str, ...], ...] = ()
    """Commands that migrate one of `others` that is listed in another, and is told by its URL."""
    units: tuple[str, ...] = ()
    """What the project's services run as: more of them than `users` may be there when a dump is loaded."""

    kind: ClassVar[str] = "sync-database"
    facts: ClassVar[tuple[str, ...]] = ("database ",)
    outlives_restart: ClassVar[bool] = True
    takes_long: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.source, Mapping):  # read back from a journal
            object.__setattr__(self, "source", database_source.from_json(self.source))
            others = [part if isinstance(part, Part) else part_from_json(part) for part in self.others]
            object.__setattr__(self, "others", tuple(others))

    @property
    def shared(self) -> str | None:
        return shared_database(self.source)

    def looked_at(self, machine: Callable[[str], Machine], place: Path) -> SyncDatabase:
        """This step with all that can be asked before production stops, so that its outage has the dump only.

        Not for a step that comes after another's undo: the database is not yet what it will capture. Raises
        DevswapError where `place`, a folder of the state, has no room for the dump, or that could not be loaded.
        """
        databases = database_parts.opened(self._parts, machine)
        for each in databases:
            each.require_loadable()
        _require_space(place, int(sum(each.size() for each in databases) * _SPACE), hint=_LARGER)
        own, *others = (part.looked_at(each) for part, each in zip(self._parts, databases, strict=True))
        return replace(self, revisions=own.revisions, schema=own.schema, rows=own.rows, others=tuple(others))

    @property
    def databases(self) -> tuple[Source, ...]:
        return tuple(part.source for part in self._parts)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return Part(self.source, self.revisions, self.schema, self.rows), *self.others

    def _saved(self, told: Any, cloud: Cloud) -> list[Saved]:
        return database_parts.saved(self.databases, told, cloud.vault)

    def capture(self, cloud: Cloud) -> Any:
        """All of it before `do`, and so before the first command that changes any of it."""
        require_one_name(Shelf(cloud.shared), self.kind, self.databases)
        databases = database_parts.opened(self._parts, cloud.machine)
        known = all(part.is_still(each) for part, each in zip(self._parts, databases, strict=True))
        before = self if known else self.looked_at(cloud.machine, cloud.vault)
        database_parts.forget_loads(cloud.vault)  # of a swap whose last step was to be forgotten
        database_users.forget(cloud)
        told = database_parts.captured(before._parts, f"{self.service}-{cloud.now().replace(':', '')}")
        cloud.say("saving the database as it is before")
        for database, each in zip(databases, [told, *told.get("others", ())], strict=True):
            database.dump(cloud.vault / each["dump"])
        return told

    def do(self, cloud: Cloud) -> None:
        if self.commands:
            cloud.say("migrating the database")
        for command in self.commands:
            self._migrating.run(cloud, command)
        if self.commands and self.listed:
            self._migrate_listed(cloud)

    def foresee(self, cloud: Cloud, captured: Any) -> None:
        """What is in the database now is saved before the load, which is certain where the revision is another one."""
        if database_parts.is_half_loaded(cloud.vault):
            self.source.open(cloud.machine)
            return
        found = [(each, each.source.open(cloud.machine)) for each in self._saved(captured, cloud)]
        needed = [database.size() for each, database in found if not each.is_at_its_revision(database)]
        keep = "or leave the database as it is: devswap restore --keep-database"
        if needed:
            _require_space(cloud.saves.parent, sum(needed), hint=f"free some space there, {keep}")

    def leave(self, cloud: Cloud) -> None:
        """End this step's own migration and wait for its statements: a killed devswap leaves it running.

        It would land after the restore.
        """
        self._migrating.end(cloud)
        self.source.open(cloud.machine).wait_for_statements(seconds=_STATEMENT_SECONDS)
        for part in self.others:
            with suppress(DevswapError):  # what it is found through may be half loaded, and nothing works on it then
                part.source.open(cloud.machine).wait_for_statements(seconds=_STATEMENT_SECONDS)

    def undo(self, cloud: Cloud, captured: Any) -> None:
        self._migrating.end(cloud)
        saved = self._saved(captured, cloud)
        if database_parts.is_half_loaded(cloud.vault):
            self._stop_users(cloud)
        # What others are found through is whole before they are opened.
        found = [(each, self._at_rest(cloud, each)) for each in saved]
        changed = [(each, at) for each, at in found if not (each.is_half_loaded or each.is_as_before(at))]
        if changed:
            self._stop_users(cloud)
            self._load(cloud, changed)
        if database_parts.is_half_loaded(cloud.vault):
            _undo_at_once(cloud)
        for each in saved:
            each.note_loaded()
        database_users.start(cloud)

    def _stop_users(self, cloud: Cloud) -> None:
        come = database_users.come_since(cloud, self.source, self.users, self.units)
        database_users.stop(cloud, (*self.users, *come))

    def _at_rest(self, cloud: Cloud, saved: Saved) -> Database:
        """No statement works on it; if it was half loaded, it is as it was before the migration."""
        database = saved.source.open(cloud.machine)
        database.wait_for_statements(seconds=_STATEMENT_SECONDS)
        if saved.is_half_loaded:  # and is not to be saved over the save
            self._load_one(cloud, saved, database)
        return database

    def keep(self, cloud: Cloud, captured: Any) -> None:
        """The database stays as it is now, reached or not; its dump is kept among the saves.

        One that is half loaded is neither as it was nor as it is: it becomes again what it was before that load.
        """
        self._migrating.end(cloud)
        saved = self._saved(captured, cloud)
        if database_parts.is_half_loaded(cloud.vault):
            self._unload(cloud, [one for one in saved if one.is_half_loaded or (cloud.saves / one.save).exists()])
        else:
            self._wait(cloud)
        database_users.start(cloud)
        kept = [cloud.saves / f"before-{each.save}" for each in saved]
        for each, path in zip(saved, kept, strict=True):
            if each.dump.exists() and not path.exists():
                make_private(cloud.saves)
                path.hardlink_to(each.dump)  # the capture keeps its own until it is forgotten as a whole
                flush_folder(cloud.saves)
        cloud.say(f"the database stays as it is; as it was before: {', '.join(map(str, kept))}")

    def _wait(self, cloud: Cloud) -> None:
        try:
            for part in self._parts:
                part.source.open(cloud.machine).wait_for_statements(seconds=_STATEMENT_SECONDS)
        except DevswapError as error:
            cloud.say(f"what the database is doing is not known: {error.message}")

    def _unload(self, cloud: Cloud, halves: Sequence[Saved]) -> None:
        """All that was saved for the load, so that they belong together."""
        self._stop_users(cloud)
        for each in halves:
            database = each.source.open(cloud.machine)
            database.wait_for_statements(seconds=_STATEMENT_SECONDS)
            save = cloud.saves / each.save
            cloud.say(f"loading the database as it was before that load began: {save}")
            database.load(save)
        for each in halves:
            each.note_loaded()

    def _migrate_listed(self, cloud: Cloud) -> None:
        """Those that the commands before have not reached: nova's cells besides its own and cell0."""
        wanted = self.source.open(cloud.machine).revisions()
        for part in self.others:
            if part.source.listed is None or part.source.open(cloud.machine).revisions() == wanted:
                continue
            cloud.say(f"migrating {part.source.name}")
            for command in self.listed:
                self._migrating.run(cloud, command, of=part.source)
            if part.source.open(cloud.machine).revisions() != wanted:
                cloud.say(f"{part.source.name} is not migrated: this checkout's command was told of it, and left it")

    def of_capture(self, first: Step) -> Step:
        assert isinstance(first, SyncDatabase)  # noqa: S101 - of the same name
        return replace(self, source=replace(first.source, unit=self.source.unit), others=first.others)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:
        stop = f"{shell(self.on, 'systemctl', 'stop', self._migrating.unit)} || true"
        return [stop, *self._by_hand(captured, vault)[:-1]]

    def by_hand_at_last(self, captured: Any, vault: Path) -> list[str]:
        return self._by_hand(captured, vault)[-1:]

    def _by_hand(self, captured: Any, vault: Path) -> list[str]:
        own = (self.on, self.source.unit)
        return database_by_hand.load_lines(
            [
                Load(
                    each.source.client,
                    each.source.name,
                    each.captured["revisions"],
                    each.captured["schema"],
                    each.dump,
                    each.loading,
                )
                for each in database_parts.saved(self.databases, captured, vault)
            ],
            users=[own, *(user for user in self.users if user != own)],
        )

    def _load(self, cloud: Cloud, changed: Sequence[tuple[Saved, Database]]) -> None:
        make_private(cloud.saves)
        for each, database in changed:
            save = cloud.saves / each.save
            cloud.say(f"saving the database as it is now: {save}")
            database.dump(save)
        for each, database in changed:
            self._load_one(cloud, each, database)

    def _load_one(self, cloud: Cloud, saved: Saved, database: Database) -> None:
        for line in saved.leaving(database):
            cloud.say(line)
        cloud.say(f"loading the database {'as it was before the migration' if not self.others else saved.source.name}")
        saved.load(database)
        if not saved.is_as_before(database):
            raise DevswapError(f"the database of {self.project} is not as it was after its dump was loaded")

    @property
    def _migrating(self) -> Migrating:
        return Migrating(
            self.on, self.service, self.project, self.source, self.user, self.group, self.environment, self.seconds
        )

    def describe(self) -> tuple[str, str]:
        commands = ", ".join(" ".join(command[1:]).rpartition("/")[2] for command in self.commands)
        names = ", ".join(part.source.name for part in self._parts)
        what = f"databases of {self.project} ({names})" if self.others else f"database of {self.project}"
        how = "load the dump of each whose schema differs" if self.others else "load the dump if the schema differs"
        return f"dump the {what}{f', then {commands}' if commands else ''}", how


def _undo_at_once(cloud: Cloud) -> None:
    """What another swap's development has raised may be in the dump, too; nobody has started yet."""
    for entry in cloud.entries():
        step = from_json(entry.step)
        record = Shelf(cloud.shared).find(step.shared) if step.at_once and step.shared else None
        if record is not None:
            from_json(record.step).undo(cloud, record.captured)


def _require_space(place: Path, needed: int, *, hint: str) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        raise DevswapError(
            f"cannot save the database: it needs up to {needed >> 20} MiB, {place} has {free >> 20} MiB free",
            hint=hint,
        )
