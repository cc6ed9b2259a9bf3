"""Looks at SQLite databases, copies them and puts copies back: run in their machine, as the service's user.

A file of its own that imports nothing of devswap, for production's Python from 3.7 on. What is to be done is the first
argument; standard input begins with a line of JSON: the `folder`, the `patterns` of the files in it, what was
`captured` of each, and which `only` are meant, if not all. Paths are relative to the folder.

An archive is a tar file, compressed. Before each database comes its .pending, where swift keeps rows that it adds when
it opens the database: rows that are in both are the same, so it is read first.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import json
import os
import sqlite3
import stat
import sys
import tarfile
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PENDING, END = ".pending", "devswap: the end"
NOTED = "DEVSWAP.noted"
_TEMPORARY = ".devswap"
# What SQLite keeps beside a database, and would play back into another one of its name.
_BESIDE = ("-journal", "-wal", "-shm")
_LOCK_SECONDS = 60
_UNREADABLE = "unreadable"
_DIFFERS, IN_USE = 3, 4


class InUse(OSError):
    """Somebody has one locked for longer than it is waited for."""


def look(asked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schema and the size of each."""
    return dict(_each(asked, _schema))


def differing(asked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Those with a schema that neither they themselves had when they were captured nor any other of them.

    What another had is what production's code works with: it migrates one by one itself, whenever it opens an old one.
    """
    before = asked["captured"]
    known = {each["columns"] for each in before.values()} - {_UNREADABLE}
    found = {}
    for path, now in _each(asked, _noted):
        own = before.get(path)
        if now["columns"] not in known and (own is None or own["schema"] != now["schema"]):
            found[path] = dict(now, new=own is None)
    return found


def copy(asked: dict[str, Any], target: BinaryIO) -> None:
    """Write an archive of all that are meant."""
    packed = gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0)
    with packed, tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in _paths(asked):
            with suppress(FileNotFoundError):
                _add(archive, asked["folder"], path)
        archive.addfile(tarfile.TarInfo(END))
    target.flush()


def put_back(asked: dict[str, Any], source: BinaryIO) -> None:
    """Of those that differ now: what the archive has takes its place, and what is new goes."""
    wanted, folder = differing(asked), asked["folder"]
    pending: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
    with gzip.GzipFile(fileobj=source, mode="rb") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None or member.name == END:
                continue
            path = member.name[: -len(PENDING)] if member.name.endswith(PENDING) else member.name
            if path not in wanted:
                continue
            if path != member.name:
                pending[path] = member, content.read()
            else:
                _put(os.path.join(folder, path), member, content, pending.pop(path, None))
    for path, now in wanted.items():
        if now["new"]:
            _take_away(os.path.join(folder, path))


def _each(asked: dict[str, Any], told: Callable[[str, Any], dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in _paths(asked):
        full = os.path.join(asked["folder"], path)
        with suppress(FileNotFoundError), _at_rest(full) as connection:
            yield path, told(full, connection)


def _paths(asked: dict[str, Any]) -> list[str]:
    folder, only = asked["folder"], asked.get("only")
    inside = glob.escape(folder)
    found = {path for pattern in asked["patterns"] for path in glob.glob(os.path.join(inside, pattern))}
    files = {os.path.relpath(path, folder) for path in found if stat.S_ISREG(_mode(path))}
    return sorted(files if only is None else files.intersection(only))


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0


@contextmanager
def _at_rest(path: str) -> Iterator[sqlite3.Connection | None]:
    """Nobody else writes meanwhile, and what was interrupted is played back: the file by itself is all of it.

    None for what is no database. Raises FileNotFoundError for what is gone.
    """
    os.stat(path)
    try:
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode=rw", uri=True, timeout=_LOCK_SECONDS, isolation_level=None
        )
    except sqlite3.OperationalError as error:
        os.stat(path)
        raise OSError(f"{path}: {error}") from error
    with closing(connection):
        yield connection if _is_held(path, connection) else None


def _is_held(path: str, connection: sqlite3.Connection) -> bool:
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        os.stat(path)
        raise (InUse if "locked" in str(error) else OSError)(f"{path}: {error}") from error
    except sqlite3.DatabaseError:
        return False
    if os.path.exists(path + "-wal") and os.path.getsize(path + "-wal"):
        raise InUse(f"{path}: somebody writes to it")
    return True


def _schema(path: str, connection: sqlite3.Connection | None) -> dict[str, Any]:
    """`schema` tells any two definitions apart; `columns` is equal where the same came about on different ways.

    A column that was added to a table is the last one there, and in the midst of one that was made with it.
    """
    told = {"size": os.path.getsize(path)}
    if connection is None:
        return dict(told, schema=_UNREADABLE, columns=_UNREADABLE)
    try:
        rows = [list(row) for row in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")]
        ways = [connection.execute("PRAGMA " + name).fetchone()[0] for name in ("journal_mode", "user_version")]
        definitions = [
            [kind, name, _columns(connection, name) if kind == "table" else " ".join((sql or "").split())]
            for kind, name, _, sql in rows
        ]
    except sqlite3.DatabaseError:
        return dict(told, schema=_UNREADABLE, columns=_UNREADABLE)
    schema, columns = (_digest([sorted(map(repr, each)), ways]) for each in (rows, definitions))
    return dict(told, schema=schema, columns=columns)


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return sorted(repr(row[1:]) for row in connection.execute(f"PRAGMA table_info({_quoted(table)})"))


def _noted(path: str, connection: sqlite3.Connection | None) -> dict[str, Any]:
    told = _schema(path, connection)
    if connection is None or told["schema"] == _UNREADABLE:
        return dict(told, rows={})
    rows = {}
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if not name.startswith("sqlite_"):
            rows[name] = connection.execute("SELECT COUNT(*) FROM " + _quoted(name)).fetchone()[0]  # noqa: S608
    return dict(told, rows=rows)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _add(archive: tarfile.TarFile, folder: str, path: str) -> None:
    full = os.path.join(folder, path)
    pending = _pending(archive, full, path)
    with _at_rest(full) as connection, open(full, "rb") as content:
        if os.fstat(content.fileno()).st_uid != os.geteuid():
            raise OSError(f"{full} belongs to another user")
        if pending is not None:
            archive.addfile(*pending)
        member = archive.gettarinfo(arcname=path, fileobj=content)
        member.pax_headers = {NOTED: json.dumps(_noted(full, connection))}
        archive.addfile(member, content)


def _pending(archive: tarfile.TarFile, full: str, path: str) -> tuple[tarfile.TarInfo, io.BytesIO] | None:
    try:
        with open(full + PENDING, "rb") as file:
            member = archive.gettarinfo(arcname=path + PENDING, fileobj=file)
            content = file.read()
    except FileNotFoundError:
        return None
    member.size = len(content)  # swift may add to it meanwhile
    return member, io.BytesIO(content)


def _put(path: str, member: tarfile.TarInfo, content: Any, pending: tuple[tarfile.TarInfo, bytes] | None) -> None:
    """The database comes last: as long as it is not there, all of this is done again."""
    if not os.path.isdir(os.path.dirname(path)):
        return
    try:
        with open(path + _TEMPORARY, "wb") as file:
            left = member.size
            while left:
                piece = content.read(min(left, 1 << 18))
                if not piece:
                    raise OSError(f"the archive ends in the midst of {member.name}")
                left -= file.write(piece)
            _finish(file, member.mode, member.gid)
        if pending is not None:
            with open(path + PENDING + _TEMPORARY, "wb") as file:
                file.write(pending[1])
                _finish(file, pending[0].mode, pending[0].gid)
    except BaseException:  # a full disk: what has no room takes none
        _remove(path + _TEMPORARY)
        _remove(path + PENDING + _TEMPORARY)
        raise
    if pending is None:
        _remove(path + PENDING)
    else:
        os.rename(path + PENDING + _TEMPORARY, path + PENDING)
    for name in _BESIDE:
        _remove(path + name)
    _flush(os.path.dirname(path))
    os.rename(path + _TEMPORARY, path)
    _flush(os.path.dirname(path))


def _finish(file: BinaryIO, mode: int, gid: int) -> None:
    if os.fstat(file.fileno()).st_gid != gid:
        os.fchown(file.fileno(), -1, gid)
    os.fchmod(file.fileno(), mode)
    file.flush()
    os.fsync(file.fileno())


def _take_away(path: str) -> None:
    """With its folder, which it has for itself."""
    for name in (PENDING, *_BESIDE, ""):
        _remove(path + name)
    folder = os.path.dirname(path)
    if os.listdir(folder) == [".lock"]:
        _remove(os.path.join(folder, ".lock"))
    with suppress(OSError):
        os.rmdir(folder)
    _flush(os.path.dirname(folder))


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _flush(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(what: str, source: BinaryIO, target: BinaryIO) -> int:
    """What the process ends with."""
    asked = json.loads(source.readline().decode())
    if what == "copy":
        copy(asked, target)
    elif what == "save":
        copy(dict(asked, only=sorted(differing(asked))), target)
    elif what == "put-back":
        put_back(asked, source)
    else:
        found = {"look": look, "differing": differing}[what](asked)
        target.write(json.dumps(found).encode() + b"\n")
        target.flush()
        return _DIFFERS if found and what == "differing" else 0
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer))
    except InUse as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(IN_USE) from None
    except (OSError, EOFError, sqlite3.Error, tarfile.TarError) as error:
        raise SystemExit(str(error) or repr(error))  # noqa: B904 - a line, and no traceback
