"""Puts the values of one column back as they were: the versions that services of nova and cinder note of themselves.

Newer code raises them. Rows stay, and what else is in them; a row that is new since then gets the highest value that
there was, unless its own is lower. So production's code, which refuses to start beside records of a newer one, finds
none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from devswap import database_source
from devswap.database import Database
from devswap.database_parts import is_half_loaded
from devswap.database_sharing import require_one_name, shared_database
from devswap.database_source import Source
from devswap.errors import DevswapError, MachineGone, Postponed
from devswap.journal import make_private, write_durably
from devswap.machine import Machine
from devswap.shared import Shelf
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Cloud, Step, shell

_NULL, _NUMBER, _VERSION = "NULL", re.compile(r"-?\d+"), re.compile(r"-?\d+(\.\d+)*")
_CLIENT = 'run=$(command -v mariadb || command -v mysql); "$run" "$1" -e "$2"'


@dataclass(frozen=True)
class PutBackValues(Step):
    """`do` changes nothing: what runs after it does."""

    sources: tuple[Source, ...]
    """The schemas that have the table, as far as they have it."""
    table: str
    key: str
    column: str
    """Of whole numbers, or of versions such as 1.39."""
    seen: tuple[tuple[tuple[str, str], ...], ...] = ()
    """For each of `sources` what `looked_at` found while production served; without it the capture asks."""

    kind: ClassVar[str] = "put-back-values"
    facts: ClassVar[tuple[str, ...]] = ("database ",)
    outlives_restart: ClassVar[bool] = True
    at_once: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if any(isinstance(source, Mapping) for source in self.sources):  # read back from a journal
            read = (database_source.from_json(source) for source in self.sources)  # type: ignore[arg-type]
            object.__setattr__(self, "sources", tuple(read))

    @property
    def shared(self) -> str | None:
        return f"{self.table}.{self.column} of the {shared_database(self.sources[0])}"

    @property
    def databases(self) -> tuple[Source, ...]:
        return self.sources

    def capture(self, cloud: Cloud) -> Any:
        """For each of `sources`: (key, value) of each row; none where it has no such table or column."""
        require_one_name(Shelf(cloud.shared), self.kind, self.databases)
        return list(self.seen or self.looked_at(cloud.machine).seen)

    def looked_at(self, machine: Callable[[str], Machine]) -> PutBackValues:
        """This step with what its capture will say, so that the outage has nothing of it."""
        return replace(self, seen=tuple(tuple(self._values(source.open(machine))) for source in self.sources))

    def do(self, cloud: Cloud) -> None:
        pass

    def foresee(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        """Some may be found through one that a load, which comes before this, makes whole: the first is asked then.

        Who leaves the database as it is wants production back at once, reached or not.
        """
        if SyncDatabase.kind in cloud.kept.kinds:
            return
        for source in self.sources[:1] if _is_any_half_loaded(cloud) else self.sources:
            try:
                source.open(cloud.machine)
            except MachineGone:
                raise
            except DevswapError as error:
                mend = None if "--keep-database" in (error.hint or "") else error.hint
                leave = f"leave {self.table}.{self.column} as it is until then: devswap restore --keep-database"
                raise DevswapError(error.message, hint=", or ".join(filter(None, (mend, leave)))) from error

    def undo(self, cloud: Cloud, captured: Any) -> None:
        self._require(cloud, self._failures(cloud, captured))

    def hand_on(self, cloud: Cloud, captured: Any, others: Sequence[str]) -> None:  # noqa: ARG002
        """Production of one of them starts now, whatever the others raise and put back later."""
        if self.kind in cloud.kept.kinds:
            self.keep(cloud, captured)
            return
        failures = self._failures(cloud, captured)
        self._require(cloud, [(source, error) for source, error in failures if source == self.sources[0]])

    def keep(self, cloud: Cloud, captured: Any) -> None:
        """What cannot be put back even now is left for good: how a person does it is kept among the saves."""
        if not self._failures(cloud, captured):
            return
        make_private(cloud.saves)
        path = cloud.saves / f"{self.table}.{self.column}-{cloud.now().replace(':', '')}.sh"
        lines = ["#!/bin/sh", *self.by_hand(captured, cloud.vault)]
        write_durably(path, ("\n".join(lines) + "\n").encode(), mode=0o700)
        cloud.say(f"production may not start before this was run: sh {path}")

    def _failures(self, cloud: Cloud, captured: Any) -> list[tuple[Source, DevswapError]]:
        """Put back each by itself; which could not be, and why."""
        found = []
        for source, rows in zip(self.sources, captured, strict=True):
            try:
                self._put_back(cloud, source, rows)
            except DevswapError as error:
                cloud.say(f"{self.table}.{self.column} of {source.name} is not put back yet: {error.message}")
                found.append((source, error))
        return found

    def _require(self, cloud: Cloud, failures: Sequence[tuple[Source, DevswapError]]) -> None:
        """Where the database stays as it is, reached or not, it waits: production starts beside it if that can be."""
        leaves = SyncDatabase.kind in cloud.kept.kinds
        for _, error in failures:
            if not leaves:
                raise error
            if not isinstance(error, MachineGone):  # it went with the database
                raise Postponed(error) from error

    def _put_back(self, cloud: Cloud, source: Source, rows: Iterable[tuple[str, str]]) -> None:
        database = source.open(cloud.machine)
        before = dict(rows)
        statements = list(self._statements(before, self._now(database)))
        if not statements:
            return
        database.query(";\n".join(statements))
        if list(self._statements(before, self._now(database))):
            raise DevswapError(f"{self.table}.{self.column} of {source.name} is not as it was after it was put back")
        cloud.say(f"{self.table}.{self.column} of {source.name} is as it was in {len(statements)} rows")

    def _statements(self, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
        """What puts back the rows that differ. A row that is gone stays gone."""
        highest = _highest(before)
        for key, value in now.items():
            wanted = before.get(key)
            if wanted is None:  # new since then: raised by whoever made it
                wanted = highest if value != _NULL and _order(value) > _order(highest) else value
            if value != wanted:
                row = f"`{self.key}` = '{_text(key)}'"
                yield f"UPDATE `{self.table}` SET `{self.column}` = {_literal(wanted)} WHERE {row}"  # noqa: S608

    def _now(self, database: Database) -> dict[str, str]:
        return dict(self._values(database))

    def _values(self, database: Database) -> list[tuple[str, str]]:
        has = (
            "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() "  # noqa: S608 - words
            f"AND table_name = '{self.table}' AND column_name = '{self.column}'"
        )
        if database.query(has) == [["0"]]:
            return []
        sql = f"SELECT `{self.key}`, `{self.column}` FROM `{self.table}` ORDER BY `{self.key}`"  # noqa: S608 - words
        rows = [(row[0], row[1]) for row in database.query(sql)]
        if not all(value == _NULL or _VERSION.fullmatch(value) for _, value in rows):
            raise DevswapError(f"cannot put {self.table}.{self.column} back: it holds more than numbers of versions")
        return rows

    def of_capture(self, first: Step) -> Step:
        assert isinstance(first, PutBackValues)  # noqa: S101 - of the same name
        return replace(self, sources=first.sources)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        lines = []
        for source, rows in zip(self.sources, captured, strict=True):
            before = dict(rows)
            if not before:
                continue
            cases = " ".join(f"WHEN '{_text(key)}' THEN {_literal(value)}" for key, value in before.items())
            highest = _highest(before)
            # of two versions MariaDB would compare the letters, as in 1.9 and 1.39
            others = f"LEAST(`{self.column}`, {highest})" if _NUMBER.fullmatch(highest) else _literal(highest)
            sql = (
                f"UPDATE `{self.table}` SET `{self.column}` = "  # noqa: S608 - words and numbers
                f"CASE `{self.key}` {cases} ELSE {others} END"
            )
            lines.append(shell(source.client, "sh", "-c", _CLIENT, "sh", source.name, sql))
        return lines

    def describe(self) -> tuple[str, str]:
        names = ", ".join(source.name for source in self.sources)
        what = f"{self.table}.{self.column} of {names}"
        return f"note {what}", f"put {what} back"


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _highest(rows: Mapping[str, str]) -> str:
    """A lower one may be a leftover, or another kind of service's."""
    return max((value for value in rows.values() if value != _NULL), key=_order, default="0")


def _literal(value: str) -> str:
    return value if value == _NULL or _NUMBER.fullmatch(value) else f"'{value}'"


def _is_any_half_loaded(cloud: Cloud) -> bool:
    entries = (entry for entries in (cloud.entries(), *cloud.other_swaps()) for entry in entries)
    names = {str(entry.captured["shared"]) for entry in entries if entry.step["kind"] == SyncDatabase.kind}
    shelf = Shelf(cloud.shared)
    return any(shelf.find(name) is not None and is_half_loaded(shelf.vault(name)) for name in names)


def _text(key: str) -> str:
    return key.replace("\\", "\\\\").replace("'", "''")
