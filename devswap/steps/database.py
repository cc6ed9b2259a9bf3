"""Brings a project's database to the checkout's migrations, and back by a dump: no project can downgrade."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from devswap import database_by_hand, development, owed, systemd
from devswap.database import Database
from devswap.database_source import Source
from devswap.errors import CommandFailed, CommandTimeout, DevswapError, MachineGone
from devswap.journal import flush_folder, make_private, write_durably
from devswap.machine import Machine
from devswap.masking import mask
from devswap.steps.mount import remove_empty
from devswap.steps.step import Cloud, Step, shell

_DUMP = "database.sql.gz"
_STOPPED = "stopped-for-the-load.json"
_LOADING = "load-has-begun"
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

    kind: ClassVar[str] = "sync-database"
    facts: ClassVar[tuple[str, ...]] = ("database ",)
    outlives_restart: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.source, Mapping):  # read back from a journal
            read = {**self.source, "config_files": tuple(self.source["config_files"])}
            object.__setattr__(self, "source", Source(**read))

    @property
    def shared(self) -> str | None:
        return shared_database(self.source)

    def looked_at(self, machine: Callable[[str], Machine], place: Path) -> SyncDatabase:
        """This step with all that can be asked before production stops, so that its outage has the dump only.

        Not for a step that comes after another's undo: the database is not yet what it will capture. Raises
        DevswapError where `place`, a folder of the state, has no room for the dump.
        """
        database = self.source.open(machine)
        _require_space(place, int(database.size() * _SPACE), hint=_LARGER)
        rows = tuple(sorted(database.rows().items()))
        return replace(self, revisions=tuple(database.revisions()), schema=database.schema(), rows=rows)

    def capture(self, cloud: Cloud) -> Any:
        database = self.source.open(cloud.machine)
        known = bool(self.schema) and list(self.revisions) == database.revisions()
        before = self if known else self.looked_at(cloud.machine, cloud.vault)
        for left in (_LOADING, _STOPPED):  # of a swap whose last step was to be forgotten
            (cloud.vault / left).unlink(missing_ok=True)
        cloud.say("saving the database as it is before")
        database.dump(cloud.vault / _DUMP)
        return {
            "dump": _DUMP,
            "save": f"{self.service}-{cloud.now().replace(':', '')}.sql.gz",
            "revisions": list(before.revisions),
            "schema": before.schema,
            "rows": dict(before.rows),
        }

    def do(self, cloud: Cloud) -> None:
        if self.commands:
            cloud.say("migrating the database")
        for command in self.commands:
            self._migrate(cloud, command)

    def foresee(self, cloud: Cloud, captured: Any) -> None:
        """What is in the database now is saved before the load, which is certain where the revision is another one."""
        database = self.source.open(cloud.machine)
        if is_half_loaded(cloud.vault) or database.revisions() == captured["revisions"]:
            return
        keep = "or leave the database as it is: devswap restore --keep-database"
        _require_space(cloud.saves.parent, database.size(), hint=f"free some space there, {keep}")

    def leave(self, cloud: Cloud) -> None:
        self.end(cloud)

    def end(self, cloud: Cloud) -> Database:
        """End this step's own migration and wait for its statements: a killed devswap leaves it running.

        It would land after the restore. Returns the database, at rest.
        """
        self._end_unit(cloud)
        database = self.source.open(cloud.machine)
        database.wait_for_statements(seconds=_STATEMENT_SECONDS)
        return database

    def _end_unit(self, cloud: Cloud) -> None:
        with suppress(MachineGone):  # it went with its machine
            machine = cloud.machine(self.on)
            systemd.stop(machine, self._sync_unit)
            machine.remove(self._lent)
            machine.remove(development.half_written(self._lent))
            remove_empty(machine, development.folder(self.service))

    def undo(self, cloud: Cloud, captured: Any) -> None:
        database = self.end(cloud)
        if is_half_loaded(cloud.vault) or not _is_as_before(database, captured):
            self._stop_users(cloud)
            self._load(cloud, database, captured)
        self._start_users(cloud)

    def keep(self, cloud: Cloud, captured: Any) -> None:
        """The database stays as it is now, reached or not; its dump is kept among the saves.

        One that is half loaded is neither as it was nor as it is: it becomes again what it was before that load.
        """
        self._end_unit(cloud)
        if is_half_loaded(cloud.vault):
            self._unload(cloud, cloud.saves / captured["save"])
        else:
            self._wait(cloud)
        self._start_users(cloud)
        dump, kept = cloud.vault / captured["dump"], cloud.saves / f"before-{captured['save']}"
        if dump.exists() and not kept.exists():
            make_private(cloud.saves)
            kept.hardlink_to(dump)  # the capture keeps its own until it is forgotten as a whole
            flush_folder(cloud.saves)
        cloud.say(f"the database stays as it is; as it was before: {kept}")

    def _wait(self, cloud: Cloud) -> None:
        try:
            self.source.open(cloud.machine).wait_for_statements(seconds=_STATEMENT_SECONDS)
        except DevswapError as error:
            cloud.say(f"what the database is doing is not known: {error.message}")

    def _unload(self, cloud: Cloud, save: Path) -> None:
        database = self.end(cloud)
        self._stop_users(cloud)
        cloud.say(f"loading the database as it was before that load began: {save}")
        database.load(save)
        (cloud.vault / _LOADING).unlink()

    def _migrate(self, cloud: Cloud, command: tuple[str, ...]) -> None:
        machine = cloud.machine(self.on)
        try:
            with systemd.environment_lent(machine, self.source.unit, self._lent) as files:
                systemd.run_in_unit(
                    machine,
                    self._sync_unit,
                    development.overriding(command, dict(self.environment)),
                    user=self.user,
                    group=self.group,
                    cwd="/",
                    environment_files=files,
                    timeout=self.seconds,
                )
        except CommandTimeout as error:
            raise DevswapError(
                f"cannot migrate the database of {self.project}: {' '.join(command[1:])} had not ended after "
                f"{self.seconds / 60:.0f} minutes; the server {self._works_on(cloud)}"
            ) from error
        except CommandFailed as error:
            raise DevswapError(
                f"cannot migrate the database of {self.project}: {' '.join(command[1:])} failed\n{error.result.tail}"
            ) from error

    def _works_on(self, cloud: Cloud) -> str:
        try:
            statements = self.source.open(cloud.machine).running_statements()
        except DevswapError as error:
            return f"cannot be asked what it works on: {error.message}"
        return f"works on {'; '.join(mask(text)[:200] for text in statements.values()) or 'nothing'}"

    def by_hand(self, captured: Any, vault: Path) -> list[str]:
        own = (self.on, self.source.unit)
        return [
            f"{shell(self.on, 'systemctl', 'stop', self._sync_unit)} || true",
            *database_by_hand.load_lines(
                client=self.source.client,
                schema=self.source.name,
                revisions=captured["revisions"],
                dump=vault / captured["dump"],
                users=[own, *(user for user in self.users if user != own)],
            ),
        ]

    def _load(self, cloud: Cloud, database: Database, captured: Any) -> None:
        save = cloud.saves / captured["save"]
        if not is_half_loaded(cloud.vault):  # else it would be half loaded, and is not to be saved over the save
            make_private(cloud.saves)
            cloud.say(f"saving the database as it is now: {save}")
            database.dump(save)
        for line in _leaving(captured["rows"], database.rows()):
            cloud.say(line)
        cloud.say("loading the database as it was before the migration")
        # A load that is interrupted among the last rows has the schema of a whole one: only this tells it from that.
        write_durably(cloud.vault / _LOADING, b"")
        database.load(cloud.vault / captured["dump"])
        if not _is_as_before(database, captured):
            raise DevswapError(f"the database of {self.project} is not as it was after its dump was loaded")
        (cloud.vault / _LOADING).unlink()

    def _stop_users(self, cloud: Cloud) -> None:
        """Note them on disk first: a restore that is killed here must start them all the same."""
        running = {(on, unit) for on, unit in self.users if _is_active(cloud, on, unit)}
        noted = sorted(running | set(self._noted(cloud)))
        write_durably(cloud.vault / _STOPPED, json.dumps(noted).encode())
        active = [(on, unit) for on, unit in noted if _is_active(cloud, on, unit)]
        for on, unit in active:
            cloud.say(f"stopping {unit} in {on} while the database is loaded")
            systemd.begin_to_stop(cloud.machine(on), unit)
        for on, unit in active:  # a service takes seconds to stop: all of them at once, and then each is waited for
            systemd.stop(cloud.machine(on), unit)

    def _start_users(self, cloud: Cloud) -> None:
        """One that does not start is its own trouble: the service that was swapped must come back all the same."""
        reachable = [(on, unit) for on, unit in self._noted(cloud) if _is_reachable(cloud, on)]
        for on, unit in reachable:
            with suppress(DevswapError):  # what is wrong is said by the start that is waited for
                systemd.reset_failed(cloud.machine(on), unit)  # else systemd refuses one that was started too often
                systemd.start(cloud.machine(on), unit, wait_for_job=False)
        for on, unit in reachable:
            try:
                systemd.start(cloud.machine(on), unit)
            except DevswapError as error:
                if not owed.is_held_by_another(cloud, on, unit):
                    cloud.say(f"{error.message}; it was stopped while the database was loaded")
                    owed.note(cloud.owed, on, unit)
        (cloud.vault / _STOPPED).unlink(missing_ok=True)

    def _noted(self, cloud: Cloud) -> list[tuple[str, str]]:
        path = cloud.vault / _STOPPED
        return [(on, unit) for on, unit in json.loads(path.read_text())] if path.exists() else []

    @property
    def _lent(self) -> str:
        return development.lent_environment(self.service, "db-sync")

    @property
    def _sync_unit(self) -> str:
        return f"devswap-{self.service}-db-sync.service"

    def describe(self) -> tuple[str, str]:
        commands = ", ".join(" ".join(command[1:]).rpartition("/")[2] for command in self.commands)
        return f"dump the database of {self.project}" + (
            f", then {commands}" if commands else ""
        ), "load the dump if the schema differs"


def is_half_loaded(vault: Path) -> bool:
    """Whether a dump of the capture in `vault` was begun to be loaded, and not to its end."""
    return (vault / _LOADING).exists()


def is_stopped_for_a_load(vault: Path, on: str, unit: str) -> bool:
    """Whether a load from the capture in `vault` has stopped the unit and was interrupted: it starts it again."""
    path = vault / _STOPPED
    return path.exists() and [on, unit] in json.loads(path.read_text())


def shared_database(source: Source) -> str:
    """The name that all swaps with this database share it under."""
    loopback = source.address.rpartition(":")[0] in ("", "localhost", "127.0.0.1", "::1")
    return f"database {source.name} behind {source.client if loopback else source.address}"


def _is_reachable(cloud: Cloud, on: str) -> bool:
    """A machine that is gone or stopped meanwhile writes nothing, and starts its units itself when it comes back."""
    try:
        return cloud.machine(on).is_running()
    except DevswapError:
        return False


def _is_active(cloud: Cloud, on: str, unit: str) -> bool:
    return _is_reachable(cloud, on) and systemd.state(cloud.machine(on), unit).is_active


def _is_as_before(database: Database, captured: Any) -> bool:
    same: bool = database.revisions() == captured["revisions"] and database.schema() == captured["schema"]
    return same


def _leaving(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """What was written since the dump and goes out of the database with the load; counted a little before the dump."""
    return [
        f"  about {now[table] - before.get(table, 0)} rows of {table} leave the database (they are in the save)"
        for table in sorted(now)
        if now[table] > before.get(table, 0)
    ]


def _require_space(place: Path, needed: int, *, hint: str) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        raise DevswapError(
            f"cannot save the database: it needs up to {needed >> 20} MiB, {place} has {free >> 20} MiB free",
            hint=hint,
        )
