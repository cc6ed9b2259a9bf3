"""Breakpoints as people write them: FILE:LINE or MODULE:QUALNAME, with `if CONDITION`."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devswap.debugger.breakpoints import insert
from devswap.errors import DevswapError, UsageError
from devswap.slot import Slot


@dataclass(frozen=True)
class Breakpoint:
    """One breakpoint: `file`, relative to the checkout, or `module`; `line`, or the qualified `name` of a function."""

    text: str
    file: str | None
    module: str | None
    line: int | None
    name: str | None
    condition: str

    def as_json(self, place: Slot) -> dict[str, Any]:
        """For the debugger in the service, which has the checkout at `place`."""
        file = f"{place.checkout}/{self.file}" if self.file else None
        return {
            "text": self.text,
            "file": file,
            "module": self.module,
            "line": self.line,
            "name": self.name,
            "condition": self.condition,
        }


def parse(text: str) -> Breakpoint:
    """Raises UsageError for what is none."""
    location, _, condition = (part.strip() for part in text.partition(" if "))
    where, _, which = location.rpartition(":")
    if not where or not which or not (which.isdigit() or all(part.isidentifier() for part in which.split("."))):
        raise UsageError(
            f"{text!r} is no breakpoint",
            hint="--break heat/engine/service.py:420, or --break heat.engine.service:EngineService.create_stack",
        )
    if which.isdigit() and int(which) == 0:
        raise UsageError(f"{text!r} is no breakpoint: lines are counted from 1 on", hint=f"--break {where}:1")
    try:
        ast.parse(condition or "True", mode="eval")
    except SyntaxError as error:
        raise UsageError(f"the condition of {text!r} is no expression: {error.msg}") from error
    is_file = where.endswith(".py")
    return Breakpoint(
        text=text,
        file=where.removeprefix("./") if is_file else None,
        module=None if is_file else where,
        line=int(which) if which.isdigit() else None,
        name=None if which.isdigit() else which,
        condition=condition,
    )


def require(wanted: Breakpoint, checkout: Path, package: str) -> None:
    """Raises DevswapError where the checkout has no such place; modules of other packages only the service sees."""
    path = _file(wanted, checkout, package)
    if path is None:
        return
    if wanted.file is not None and wanted.file.startswith("/"):
        raise UsageError(
            f"no breakpoint at {wanted.text}: its file is named as in the checkout",
            hint=f"--break {package.split('.')[0]}/…/{path.name}:{wanted.line or wanted.name}",
        )
    if not path.is_file() or not path.resolve().is_relative_to(checkout.resolve()):
        raise DevswapError(f"no breakpoint at {wanted.text}: the checkout has no file {path.relative_to(checkout)}")
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return  # it is the service's Python that reads it, and says what is wrong
    if not insert(tree, wanted.as_json(Slot("", ""))):
        what = f"line {wanted.line} to stop at" if wanted.line else f"function {wanted.name}"
        raise DevswapError(f"no breakpoint at {wanted.text}: {path.relative_to(checkout)} has no {what}")


def _file(wanted: Breakpoint, checkout: Path, package: str) -> Path | None:
    if wanted.file is not None:
        return checkout / wanted.file
    assert wanted.module is not None  # noqa: S101 - it has one of both
    first, *_ = names = wanted.module.split(".")
    if first != package.split(".")[0]:
        return None
    root = checkout / "src" if (checkout / "src" / first).is_dir() else checkout
    folder = root.joinpath(*names)
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
