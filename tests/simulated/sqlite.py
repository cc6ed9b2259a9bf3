"""SQLite databases of a simulated machine: real ones, which the very program works on that real machines run."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devswap import sqlite_inside
from tests.simulated import images
from tests.simulated.files import File, Files
from tests.simulated.processes import Effect, Invocation, Outcome

if TYPE_CHECKING:
    from tests.simulated.machine import SimulatedMachine

Tree = tuple[tuple[str, tuple[bytes, int]], ...]
"""Each file: its path, and what it holds and its mode."""
Found = dict[str, tuple[bytes, int]]

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
    before = _found(machine.files, asked["folder"])
    outcome, after = _run(what, line, rest, before)
    return _applied(machine.files, asked["folder"], dict(before), dict(after), outcome) if before != after else outcome


@cache
def _run(what: str, line: bytes, rest: bytes, before: Tree) -> tuple[Outcome, Tree]:
    """Thousands of restores ask the same of the same files."""
    with tempfile.TemporaryDirectory() as name:
        folder, said = Path(name), io.BytesIO()
        for path, (content, mode) in before:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
            (folder / path).chmod(mode)
        given = json.dumps({**json.loads(line), "folder": name}).encode() + b"\n" + rest
        try:
            code, complaint = sqlite_inside.main(what, io.BytesIO(given), said), ""
        except (OSError, EOFError, sqlite3.Error, tarfile.TarError) as error:
            code, complaint = sqlite_inside.IN_USE if isinstance(error, sqlite_inside.InUse) else 1, str(error)
        outcome = Outcome(code, said.getvalue().decode(errors="surrogateescape"), complaint)
        return outcome, _read(folder)


def _applied(
    files: Files,
    folder: str,
    before: dict[str, tuple[bytes, int]],
    after: dict[str, tuple[bytes, int]],
    outcome: Outcome,
) -> Generator[None, None, Outcome]:
    for name in sorted({*before, *after}, key=lambda name: (name.endswith(".db"), name)):
        if before.get(name) == after.get(name):
            continue
        if name in after:
            files.write(f"{folder}/{name}", *after[name])
        else:
            files.remove(f"{folder}/{name}")
        yield
    return outcome


def _found(files: Files, folder: str) -> Tree:
    found = []
    for name in _below(files, folder, ""):
        file = files.find(f"{folder}/{name}")
        assert isinstance(file, File)
        found.append((name, (file.content, file.mode)))
    return tuple(sorted(found))


def _below(files: Files, folder: str, below: str) -> Iterator[str]:
    for name in files.names(f"{folder}/{below}"):
        inner = f"{below}/{name}" if below else name
        if files.is_folder(f"{folder}/{inner}"):
            yield from _below(files, folder, inner)
        else:
            yield inner


def _read(folder: Path) -> Tree:
    found = (file for file in folder.rglob("*") if file.is_file())
    return tuple(
        sorted((str(each.relative_to(folder)), (each.read_bytes(), each.stat().st_mode & 0o777)) for each in found)
    )
