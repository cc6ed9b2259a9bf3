"""Which database revisions a source tree knows: read from its files, without running any of it."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

MIGRATE = "migrate"
"""What the revisions of sqlalchemy-migrate, plain numbers, are told from alembic's by."""

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
    """The migrations in the first of `folders` (relative to the tree) that exists, its subfolders included."""
    for folder in folders:
        files = sorted((tree / folder).rglob("*.py"))
        if files:
            texts = "\0".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
            return replace(_alembic(files) or _numbered(files), digest=hashlib.sha256(texts.encode()).hexdigest()[:16])
    return Migrations(frozenset(), frozenset())


def _alembic(files: Sequence[Path]) -> Migrations | None:
    below: set[str] = set()
    known: set[str] = set()
    for path in files:
        names = _assigned(path)
        known |= set(names.get("revision", ()))
        below |= set(names.get("down_revision", ()))
        below |= set(names.get("depends_on", ()))  # alembic's table leaves out what one of its rows depends on
    return Migrations(frozenset(known), frozenset(known - below)) if known else None


def _numbered(files: Sequence[Path]) -> Migrations:
    """sqlalchemy-migrate: the file's number is the revision."""
    numbers = sorted(int(match[1]) for path in files if (match := _NUMBERED.match(path.name)))
    known = frozenset(f"{MIGRATE} {number}" for number in numbers)
    return Migrations(known, frozenset({f"{MIGRATE} {numbers[-1]}"} if numbers else ()))


def _assigned(path: Path) -> dict[str, list[str]]:
    """The texts that the module assigns to plain names at its top level; a broken module assigns none."""
    try:
        module = ast.parse(path.read_bytes())
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
