"""Which database revisions a source tree knows: read from its files, without running any of it."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from devswap.errors import DevswapError
from devswap.machine import Machine

MIGRATE = "migrate"
"""What the revisions of sqlalchemy-migrate, plain numbers, are told from alembic's by."""

_File = tuple[str, bytes]
"""(name, content)"""
_REVISION = re.compile(rb"^(down_)?revision\b", re.MULTILINE)
_NUMBERED = re.compile(r"^(\d{3})_\w+\.py$")


@dataclass(frozen=True)
class Migrations:
    """`known` revisions, and the `heads` that none of them builds upon; both empty where the tree has no migrations."""

    known: frozenset[str]
    heads: frozenset[str]
    digest: str = ""
    """Of the text of all of them: a patchset may change a migration and keep its name."""

    def missing_in(self, revisions: Iterable[str]) -> bool:
        """Whether a database at `revisions` lacks migrations of this tree."""
        return bool(self.heads) and self.heads != frozenset(revisions)

    def strangers(self, revisions: Iterable[str]) -> frozenset[str]:
        """The database's revisions that this tree has never heard of: its code cannot run on it.

        Numbers of sqlalchemy-migrate are no strangers to alembic: each project's own tool goes on from there.
        """
        if not self.known or not any(name.startswith(MIGRATE) for name in self.known):
            revisions = [name for name in revisions if not name.startswith(MIGRATE)]
        return frozenset(revisions) - self.known if self.known else frozenset()


def read(tree: Path, folders: Sequence[str]) -> Migrations:
    """The migrations in the first of `folders` (relative to the tree) that exists, its subfolders included.

    Raises DevswapError for one that Python cannot read: the database would be taken for one that lacks nothing.
    """
    for folder in folders:
        # a pipe or a device, or a link to one, has no end
        found = [path for path in sorted((tree / folder).rglob("*.py")) if path.is_file()]
        files = [(path.name, path.read_bytes()) for path in found]
        for path, (_, content) in zip(found, files, strict=True):
            _require_readable(path, content)
        if files:
            return _of(files)
    return Migrations(frozenset(), frozenset())


def _require_readable(path: Path, content: bytes) -> None:
    if not _REVISION.search(content):
        return  # of sqlalchemy-migrate, whose numbers stand in the names, and which may be of Python 2
    try:
        ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise DevswapError(f"cannot read the migration {path}: {error}", hint="mend it, then try again") from error


def installed(machine: Machine, site_folders: Sequence[str], folders: Sequence[str]) -> Migrations:
    """The same of the package that is installed there."""
    for folder in folders:
        for site in site_folders:
            files = list(_files(machine, f"{site}/{folder}"))
            if files:
                return _of(files)
    return Migrations(frozenset(), frozenset())


def _files(machine: Machine, folder: str) -> Iterator[_File]:
    for name in machine.names(folder):
        path = f"{folder}/{name}"
        if name.endswith(".py"):
            yield name, machine.read_bytes(path) or b""
        elif machine.is_folder(path):
            yield from _files(machine, path)


def _of(files: Sequence[_File]) -> Migrations:
    texts = "\0".join(hashlib.sha256(content).hexdigest() for _, content in files)
    return replace(_alembic(files) or _numbered(files), digest=hashlib.sha256(texts.encode()).hexdigest()[:16])


def _alembic(files: Sequence[_File]) -> Migrations | None:
    below: set[str] = set()
    known: set[str] = set()
    for _, content in files:
        names = _assigned(content)
        known |= set(names.get("revision", ()))
        below |= set(names.get("down_revision", ()))
        below |= set(names.get("depends_on", ()))  # alembic's table leaves out what one of its rows depends on
    return Migrations(frozenset(known), frozenset(known - below)) if known else None


def _numbered(files: Sequence[_File]) -> Migrations:
    """sqlalchemy-migrate: the file's number is the revision."""
    numbers = sorted(int(match[1]) for name, _ in files if (match := _NUMBERED.match(name)))
    known = frozenset(f"{MIGRATE} {number}" for number in numbers)
    return Migrations(known, frozenset({f"{MIGRATE} {numbers[-1]}"} if numbers else ()))


def _assigned(content: bytes) -> dict[str, list[str]]:
    """The texts that the module assigns to plain names at its top level; a broken module assigns none."""
    try:
        module = ast.parse(content)
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign):
            targets: list[ast.expr] = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and statement.value is not None:
                found[target.id] = [
                    node.value
                    for node in ast.walk(statement.value)
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                ]
    return found
