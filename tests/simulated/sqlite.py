"""SQLite databases of a simulated machine: real ones, which the very program works on that real machines run."""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devswap import sqlite_inside
from tests.simulated import images
from tests.simulated.files import File, Files
from tests.simulated.processes import Effect, Invocation, Outcome

if TYPE_CHECKING:
    from tests.simulated.machine import SimulatedMachine

FOLDER = "/srv/node"
PATTERN = "*/containers/*/*/*/*.db"
SCHEMA = "CREATE TABLE object (name TEXT, deleted INTEGER DEFAULT 0); CREATE INDEX ix ON object (deleted, name)"


def path(name: str, *, below: str = "d1/containers") -> str:
    """Of the database `name`, as swift lays them out."""
    return f"{below}/17/{name[-3:]}/{name}/{name}.db"


def make(files: Files, where: str, script: str = SCHEMA) -> None:
    put(files, where, changed(b"", script))


def put(files: Files, where: str, content: bytes, mode: int = 0o640) -> None:
    full = f"{FOLDER}/{where}"
    images.put(files, full, "")
    files.write(full, content, mode)


def execute(files: Files, where: str, script: str) -> None:
    put(files, where, changed(files.read(f"{FOLDER}/{where}") or b"", script))


def alter_all(files: Files) -> None:
    """As newer code does, once in each."""
    for where in _below(files, FOLDER, ""):
        if where.endswith(".db") and b"note TEXT" not in (files.read(f"{FOLDER}/{where}") or b""):
            execute(files, where, "ALTER TABLE object ADD COLUMN note TEXT; INSERT INTO object (name) VALUES ('new')")


def rows(files: Files, where: str, sql: str) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.db"
        file.write_bytes(files.read(f"{FOLDER}/{where}") or b"")
        with closing(sqlite3.connect(file)) as connection:
            return connection.execute(sql).fetchall()


def changed(content: bytes, script: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.db"
        file.write_bytes(content)
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(script)
        return file.read_bytes()


def program(machine: SimulatedMachine, what: str, call: Invocation) -> Effect:
    """What changes a file is a part of its own; a database comes after what lies beside it."""
    line, _, rest = call.stdin.encode(errors="surrogateescape").partition(b"\n")
    asked = json.loads(line)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = _written(machine.files, asked["folder"], folder)
        given = json.dumps({**asked, "folder": str(folder)}).encode() + b"\n" + rest
        said = io.BytesIO()
        try:
            code = sqlite_inside.main(what, io.BytesIO(given), said)
        except (OSError, EOFError, sqlite3.Error) as error:
            return Outcome(1, stderr=str(error))
        after = _read(folder)
    outcome = Outcome(code, said.getvalue().decode(errors="surrogateescape"))
    return _applied(machine.files, asked["folder"], before, after, outcome) if before != after else outcome


def _applied(
    files: Files, folder: str, before: dict[str, File], after: dict[str, File], outcome: Outcome
) -> Generator[None, None, Outcome]:
    for name in sorted({*before, *after}, key=lambda name: (name.endswith(".db"), name)):
        if before.get(name) == after.get(name):
            continue
        if name in after:
            files.write(f"{folder}/{name}", after[name].content, after[name].mode)
        else:
            files.remove(f"{folder}/{name}")
        yield
    return outcome


def _written(files: Files, folder: str, target: Path) -> dict[str, File]:
    for name in _below(files, folder, ""):
        found = files.find(f"{folder}/{name}")
        assert isinstance(found, File)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(found.content)
        (target / name).chmod(found.mode)
    return _read(target)


def _below(files: Files, folder: str, below: str) -> Iterator[str]:
    for name in files.names(f"{folder}/{below}"):
        inner = f"{below}/{name}" if below else name
        if files.is_folder(f"{folder}/{inner}"):
            yield from _below(files, folder, inner)
        else:
            yield inner


def _read(folder: Path) -> dict[str, File]:
    return {
        str(file.relative_to(folder)): File(file.read_bytes(), file.stat().st_mode & 0o777)
        for file in folder.rglob("*")
        if file.is_file()
    }
