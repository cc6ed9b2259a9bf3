"""Keeps the SQLite databases on a service's storage devices as they are: newer code alters them when it opens them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap import database_users, sqlite_by_hand, sqlite_files, systemd
from devswap.errors import DevswapError
from devswap.journal import flush_folder, make_private, write_durably
from devswap.machine import Machine
from devswap.sqlite_files import InUse, SqliteFiles
from devswap.steps.step import Cloud, Step, shell

_ARCHIVE = "sqlite.tar.gz"
_SUFFIX = ".tar.gz"


@dataclass(frozen=True)
class KeepSqlite(Step):
    """`do` changes nothing: what runs after it does.

    What comes back is the file of a database whose schema none had before. The rows of every other one stay, whoever
    wrote them, and what was deleted meanwhile stays so.
    """

    service: str
    stored: SqliteFiles
    users: tuple[tuple[str, str], ...]
    """(address, unit) of whatever opens them: none may while files are replaced."""

    kind: ClassVar[str] = "keep-sqlite"
    facts: ClassVar[tuple[str, ...]] = ("database files ",)
    outlives_restart: ClassVar[bool] = True
    takes_long: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.stored, Mapping):  # read back from a journal
            object.__setattr__(self, "stored", sqlite_files.from_json(self.stored))

    @property
    def shared(self) -> str | None:
        return self.stored.name

    @property
    def databases(self) -> tuple[SqliteFiles, ...]:
        """What it has claims of."""
        return (self.stored,)

    def require_space(self, machine: Machine, place: Path) -> None:
        """Raises DevswapError where `place`, a folder of the state, has no room for a copy."""
        _require_space(
            place,
            self.stored.look(machine),
            hint="free some space there, or set DEVSWAP_STATE_DIR to a larger place",
        )

    def capture(self, cloud: Cloud) -> Any:
        """What was noted of each, by its path; with all that restore.sh needs beside the copies."""
        machine = cloud.machine(self.on)
        self.require_space(machine, cloud.vault)
        database_users.forget(cloud)  # of a swap whose last step was to be forgotten
        cloud.say(f"copying the databases in {self.stored.folder} as they are before")
        told = self.stored.copy(machine, cloud.vault / _ARCHIVE)
        write_durably(cloud.vault / sqlite_by_hand.SCRIPT, sqlite_files.script().encode())
        write_durably(cloud.vault / sqlite_by_hand.ASKED, self.stored.asked(told).encode())
        return {"archive": _ARCHIVE, "save": f"{self.service}-{cloud.now().replace(':', '')}", "files": told}

    def do(self, cloud: Cloud) -> None:
        pass

    def foresee(self, cloud: Cloud, captured: Any) -> None:
        machine = cloud.machine(self.on)
        if not machine.is_running():
            raise DevswapError(
                f"cannot reach the {self.stored.name}: it is not running", hint=f"start it: lxc-start -n {machine.name}"
            )
        keep = "free some space there, or leave them as they are: devswap restore --keep-database"
        with suppress(InUse):  # by development, at a breakpoint say, which is stopped before they are put back
            _require_space(cloud.saves.parent, self.stored.differing(machine, captured["files"]), hint=keep)

    def leave(self, cloud: Cloud) -> None:
        systemd.stop(cloud.machine(self.on), self._unit)

    def undo(self, cloud: Cloud, captured: Any) -> None:
        machine, before = cloud.machine(self.on), captured["files"]
        systemd.stop(machine, self._unit)
        if self._may_differ(machine, before):
            database_users.stop(cloud, self.users)
            self._put_back(cloud, machine, captured, self.stored.differing(machine, before))
        database_users.start(cloud)

    def _may_differ(self, machine: Machine, before: Mapping[str, Any]) -> bool:
        """Whoever keeps one locked is stopped before it is looked at again."""
        try:
            return bool(self.stored.differing(machine, before))
        except InUse:
            return True

    def _put_back(self, cloud: Cloud, machine: Machine, captured: Any, now: Mapping[str, Any]) -> None:
        """Nobody writes to them. What is there is saved each time: after a kill somebody may have written to it."""
        if not now:
            return
        make_private(cloud.saves)
        save = _unused(cloud.saves, captured["save"])
        cloud.say(f"saving the databases that differ as they are now: {save}")
        self.stored.copy(machine, save, only=list(now))
        for line in self._leaving(captured["files"], now):
            cloud.say(line)
        archive = cloud.vault / str(captured["archive"])
        self.stored.put_back(machine, self._unit, archive, captured["files"], list(now))
        if left := self.stored.differing(machine, captured["files"]):
            paths = ", ".join(sorted(left))
            raise DevswapError(f"not as they were after they were put back in {self.stored.folder}: {paths}")

    def _leaving(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
        for path, found in sorted(now.items()):
            what = "goes: it is new, and has a schema that none had" if found["new"] else "is put back as it was"
            yield f"{self.stored.folder}/{path} {what}"
            rows = {} if found["new"] else before[path]["rows"]
            for table, count in sorted(found["rows"].items()):
                if count > rows.get(table, 0):
                    yield f"  about {count - rows.get(table, 0)} rows of {table} leave it (they are in the save)"

    def keep(self, cloud: Cloud, captured: Any) -> None:
        """They stay as they are now; the copies are kept among the saves."""
        with suppress(DevswapError):  # what is left of a devswap that was killed, where its machine can be reached
            systemd.stop(cloud.machine(self.on), self._unit)
        database_users.start(cloud)
        archive = cloud.vault / str(captured["archive"])
        kept = cloud.saves / f"before-{captured['save']}{_SUFFIX}"
        if archive.exists() and not kept.exists():
            make_private(cloud.saves)
            kept.hardlink_to(archive)
            flush_folder(cloud.saves)
        cloud.say(f"the databases in {self.stored.folder} stay as they are; as they were before: {kept}")

    def by_hand(self, captured: Any, vault: Path) -> list[str]:
        stop = f"{shell(self.on, 'systemctl', 'stop', self._unit)} || true"
        return [stop, *sqlite_by_hand.lines(self.stored, vault / str(captured["archive"]), users=self.users)]

    def by_hand_at_last(self, captured: Any, vault: Path) -> list[str]:
        return sqlite_by_hand.last_lines(vault / str(captured["archive"]))

    def of_capture(self, first: Step) -> Step:
        """The captured step's own unit is in nobody's way: each swap stops its own."""
        assert isinstance(first, KeepSqlite)  # noqa: S101 - of the same name
        return first

    @property
    def _unit(self) -> str:
        return f"devswap-{self.service}-sqlite.service"

    def describe(self) -> tuple[str, str]:
        where = f"databases {', '.join(self.stored.patterns)} in {self.stored.folder}"
        return f"copy the {where}", f"put those of the {where} back whose schema differs"


def _unused(folder: Path, name: str) -> Path:
    number = 1
    while (found := folder / f"{name}{f'-{number}' if number > 1 else ''}{_SUFFIX}").exists():
        number += 1
    return found


def _require_space(place: Path, found: Mapping[str, Mapping[str, Any]], *, hint: str) -> None:
    needed, free = sum(int(each["size"]) for each in found.values()), shutil.disk_usage(place).free
    if free < needed:
        raise DevswapError(
            f"cannot copy the databases: they need up to {needed >> 20} MiB, {place} has {free >> 20} MiB free",
            hint=hint,
        )
