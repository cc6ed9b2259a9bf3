"""The schemas that a project's migration may change: each with its own dump, comparison, save and load.

Most projects have one. nova has one for its API and one for each cell, which are changed by the same commands, and come
back together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devswap import database_source
from devswap.database import Database
from devswap.database_source import Source
from devswap.journal import flush_folder, write_durably
from devswap.machine import Machine

_DUMP, _LOADING = "database", "load-has-begun"


@dataclass(frozen=True)
class Part:
    """One schema as it is to be captured; `revisions`, `schema` and `rows` are what was seen while production served.

    Without a schema they are asked with the dump.
    """

    source: Source
    revisions: tuple[str, ...] = ()
    schema: str = ""
    rows: tuple[tuple[str, int], ...] = ()

    def looked_at(self, database: Database) -> Part:
        rows = tuple(sorted(database.rows().items()))
        return replace(self, revisions=tuple(database.revisions()), schema=database.schema(), rows=rows)

    def is_still(self, database: Database) -> bool:
        return bool(self.schema) and list(self.revisions) == database.revisions()


def part_from_json(read: Mapping[str, Any]) -> Part:
    """As a journal has it."""
    rows = tuple((table, count) for table, count in read["rows"])
    return Part(database_source.from_json(read["source"]), tuple(read["revisions"]), read["schema"], rows)


def captured(parts: Sequence[Part], save: str) -> dict[str, Any]:
    """What a capture says of `parts`: of the first by itself, and of the others in a list if there are any.

    `save` is what the files are called that a restore saves what it finds in.
    """
    first, *others = (_captured(part, number, save) for number, part in enumerate(parts))
    return {**first, "others": others} if others else first


def _captured(part: Part, number: int, save: str) -> dict[str, Any]:
    name = f"-{number}" if number else ""  # a schema's own name may hold any sign
    told = {
        "dump": f"{_DUMP}{name}.sql.gz",
        "save": f"{save}{name}.sql.gz",
        "revisions": list(part.revisions),
        "schema": part.schema,
        "rows": dict(part.rows),
    }
    return {**told, "loading": f"{_LOADING}{name}"} if number else told


@dataclass(frozen=True)
class Saved:
    """One schema, and what was captured of it in `vault`."""

    source: Source
    captured: Mapping[str, Any]
    vault: Path

    @property
    def dump(self) -> Path:
        return self.vault / str(self.captured["dump"])

    @property
    def save(self) -> str:
        return str(self.captured["save"])

    @property
    def loading(self) -> Path:
        """There as long as it is half loaded; restore.sh goes by it, too."""
        return self.vault / str(self.captured.get("loading", _LOADING))

    @property
    def is_half_loaded(self) -> bool:
        return self.loading.exists()

    def is_as_before(self, database: Database) -> bool:
        same: bool = self.is_at_its_revision(database) and database.schema() == self.captured["schema"]
        return same

    def is_at_its_revision(self, database: Database) -> bool:
        same: bool = database.revisions() == self.captured["revisions"]
        return same

    def load(self, database: Database) -> None:
        """A load that is interrupted among the last rows has the schema of a whole one: a file tells it from that."""
        write_durably(self.loading, b"")
        database.load(self.dump)

    def note_loaded(self) -> None:
        """It is, to its end, and so is whatever else was to be loaded with it.

        On disk when this returns: a host that goes down then would load it again, over what is written from now on.
        """
        if self.loading.exists():
            self.loading.unlink()
            flush_folder(self.loading.parent)

    def leaving(self, database: Database) -> Iterator[str]:
        """What was written since the dump and goes out with a load, by table; counted a little before the dump."""
        before, now = self.captured["rows"], database.rows()
        for table in sorted(now):
            if now[table] > before.get(table, 0):
                rows = f"{now[table] - before.get(table, 0)} rows of {table}"
                yield f"  about {rows} leave the database (they are in the save)"


def saved(sources: Sequence[Source], told: Mapping[str, Any], vault: Path) -> list[Saved]:
    """Of `sources` as in the step: what others are found through comes first, so that it is whole when they are."""
    first, *others = (
        Saved(source, each, vault) for source, each in zip(sources, [told, *told.get("others", ())], strict=True)
    )
    return [*others, first]


def is_half_loaded(vault: Path) -> bool:
    """Whether a dump of the capture in `vault` was begun to be loaded, and not to its end."""
    return any(vault.glob(f"{_LOADING}*"))


def forget_loads(vault: Path) -> None:
    for path in vault.glob(f"{_LOADING}*"):
        path.unlink()


def opened(parts: Sequence[Part], machine: Callable[[str], Machine]) -> list[Database]:
    return [part.source.open(machine) for part in parts]
