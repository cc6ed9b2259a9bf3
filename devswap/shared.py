"""Captures of what several swaps change: the first that changes it takes the capture, the last that leaves undoes it.

    STATE/shared/KEY/record.json    {"name", "holders": [swap, …], "step", "captured"}

Swaps may so be restored in any order. A holder is noted before its own journal has the step; one that was killed in
between is still a holder, and leaves like the others.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from devswap.journal import flush_folder, make_private, write_durably


@dataclass(frozen=True)
class Record:
    """One shared thing. `holders` are the names of the swaps' folders."""

    name: str
    holders: tuple[str, ...]
    step: dict[str, Any]
    captured: Any


class Shelf:
    """All shared captures of this host, below `folder`; every change is on disk when it returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def vault(self, name: str) -> Path:
        """Where the capture of `name` keeps its large parts."""
        folder = self._place(name)
        make_private(folder)
        return folder

    def find(self, name: str) -> Record | None:
        return _read(self._place(name) / "record.json")

    def held_by(self, swap: str) -> Iterator[Record]:
        """The records that name `swap` as a holder."""
        return (record for record in self.readable() if swap in record.holders)

    def readable(self) -> Iterator[Record]:
        """One that cannot be read is in nobody's way here: a swap whose step refers to it meets it by its name."""
        for path in self._paths():
            try:
                record = _read(path)
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if record is not None:
                yield record

    def all(self) -> Iterator[Record]:
        yield from filter(None, map(_read, self._paths()))

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*/record.json"))

    def keep(self, record: Record) -> None:
        write_durably(self.vault(record.name) / "record.json", json.dumps(asdict(record), indent=1).encode())

    def join(self, record: Record, swap: str) -> None:
        self.keep(replace(record, holders=tuple(dict.fromkeys((*record.holders, swap)))))

    def leave(self, record: Record, swap: str) -> None:
        """Take `swap` off; the last one takes the record with it, and then what it refers to: never the other way."""
        rest = tuple(holder for holder in record.holders if holder != swap)
        if rest:
            self.keep(replace(record, holders=rest))
        else:
            folder = self._place(record.name)
            (folder / "record.json").unlink(missing_ok=True)
            flush_folder(folder)
            shutil.rmtree(folder)

    def _place(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode()).hexdigest()[:16]


def _read(path: Path) -> Record | None:
    """None where it is not there, or was taken away just now."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Record(read["name"], tuple(read["holders"]), read["step"], read["captured"])
