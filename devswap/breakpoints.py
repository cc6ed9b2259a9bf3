"""Breakpoints as people write them: FILE:LINE or MODULE:QUALNAME, with `if CONDITION`."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devswap.debugger.breakpoints import insert
from devswap.errors import DevswapError, UsageError

_LINE = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class Tree:
    """A checkout that the service runs from, of itself or of a library: here, and where its machine has it."""

    here: Path
    there: str


@dataclass(frozen=True)
class Breakpoint:
    """One breakpoint: `file`, relative to a checkout, or `module`; `line`, or the qualified `name` of a function."""

    text: str
    file: str | None
    module: str | None
    line: int | None
    name: str | None
    condition: str

    def as_json(self, trees: Sequence[Tree] = ()) -> dict[str, Any]:
        """For the debugger in the service; `file` is in the first of `trees` that has it."""
        having = [tree for tree in trees if self.file and (tree.here / self.file).is_file()]
        return {
            "text": self.text,
            "file": f"{(having or trees)[0].there}/{self.file}" if self.file and trees else self.file,
            "module": self.module,
            "line": self.line,
            "name": self.name,
            "condition": self.condition,
        }


def parse(text: str) -> Breakpoint:
    """Raises UsageError for what is none."""
    location, _, condition = (part.strip() for part in text.partition(" if "))
    where, _, which = location.rpartition(":")
    is_line = _LINE.fullmatch(which) is not None
    if not where or text.endswith((" if", " if ")) or not (is_line or all(map(str.isidentifier, which.split(".")))):
        raise UsageError(
            f"{text!r} is no breakpoint",
            hint="--break heat/engine/service.py:420, or --break heat.engine.service:EngineService.create_stack",
        )
    if is_line and int(which) == 0:
        raise UsageError(f"{text!r} is no breakpoint: lines are counted from 1 on", hint=f"--break {where}:1")
    try:
        compile(condition or "True", "condition", "eval")  # a yield outside of a function can be parsed
    except SyntaxError as error:
        raise UsageError(f"the condition of {text!r} is no expression: {error.msg}") from error
    is_file = where.endswith(".py")
    return Breakpoint(
        text=text,
        file=where.removeprefix("./") if is_file else None,
        module=None if is_file else where,
        line=int(which) if is_line else None,
        name=None if is_line else which,
        condition=condition,
    )


def require(wanted: Breakpoint, trees: Sequence[Tree], package: str) -> None:
    """Raises DevswapError where no checkout has such a place; modules of other packages only the machine knows.

    The first of `trees` is of the service itself, which is `package`.
    """
    if wanted.file is not None and wanted.file.startswith("/"):
        raise UsageError(
            f"no breakpoint at {wanted.text}: its file is named as in the checkout",
            hint=f"--break {package.split('.')[0]}/…/{Path(wanted.file).name}:{wanted.line or wanted.name}",
        )
    found = [(tree.here, path) for tree in trees if (path := _file(wanted, tree.here)) is not None]
    if not found:
        return
    having = [(here, path) for here, path in found if path.is_file() and path.resolve().is_relative_to(here.resolve())]
    if not having:
        here, path = found[0]
        where = "the checkout has no file" if len(trees) == 1 else "no checkout has a file"
        raise DevswapError(f"no breakpoint at {wanted.text}: {where} {path.relative_to(here)}")
    _require_place(wanted, *having[0])


def _require_place(wanted: Breakpoint, checkout: Path, path: Path) -> None:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return  # it is the service's Python that reads it, and says what is wrong
    if not insert(tree, wanted.as_json()):
        what = f"line {wanted.line} to stop at" if wanted.line else f"function {wanted.name}"
        raise DevswapError(f"no breakpoint at {wanted.text}: {path.relative_to(checkout)} has no {what}")


def _file(wanted: Breakpoint, checkout: Path) -> Path | None:
    """Where `checkout` would have it; None for a module of a package that is not in it."""
    if wanted.file is not None:
        return checkout / wanted.file
    assert wanted.module is not None  # noqa: S101 - it has one of both
    first, *_ = names = wanted.module.split(".")
    root = checkout / "src" if (checkout / "src" / first).is_dir() else checkout
    if not (root / first).is_dir() and not (root / f"{first}.py").is_file():
        return None
    folder = root.joinpath(*names)
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def elsewhere(wanted: Sequence[Breakpoint], trees: Sequence[Tree]) -> list[Breakpoint]:
    """Those in modules of packages that no checkout has."""
    return [each for each in wanted if all(_file(each, tree.here) is None for tree in trees)]
