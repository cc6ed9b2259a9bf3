"""devswap.toml in a user's tree: which services `devswap up` takes over with it, and how.

    services = ["heat-api", "heat-engine"]
    detach = true
    set = { "DEFAULT.debug" = "true" }

It is read with the rights of the invoking user, whose file it must be, and holds nothing but names, numbers and yes or
no: no path, no address, no command. A tree may come from somebody else, and devswap works as root. The condition of a
breakpoint is code, which the service alone runs, as its user, like all other code of the tree.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devswap import process
from devswap.errors import CommandFailed, UsageError
from devswap.invoker import UserHome
from devswap.schema import Form

NAME = "devswap.toml"
_LARGEST = 64 * 1024
_SECONDS = 10
_PLACE = r"(?!/)(?![^ ]*\.\.)[\w./-]+:[\w.]+"
_EXAMPLE = 'services = ["heat-api", "heat-engine"]'


def _listed(called: str, pattern: str) -> Form:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(each, str) and re.fullmatch(pattern, each) for each in value)

    return Form(called, fits)


def _is_settings(value: Any) -> bool:
    return isinstance(value, dict) and all(
        re.fullmatch(r"[\w.-]+", name)  # with more in it a name could bring a value along
        and isinstance(text, str)
        and re.fullmatch(r"[\w.:,+-]*", text)
        and ".." not in text
        for name, text in value.items()
    )


_YES_OR_NO = Form("true or false", lambda value: isinstance(value, bool))
FORMS: Mapping[str, Form] = {
    "services": _listed("a list of names of services", r"[a-z0-9][a-z0-9-]*"),
    "detach": _YES_OR_NO,
    "restore_on_exit": _YES_OR_NO,
    "reload": _YES_OR_NO,
    "snapshot": _YES_OR_NO,
    "narrow": _YES_OR_NO,
    "only": _YES_OR_NO,
    "debug": _YES_OR_NO,
    "post_mortem": _YES_OR_NO,
    "with_depends": _YES_OR_NO,
    "with": _listed("a list of LIB=review/N", r"[A-Za-z0-9][\w.-]*=review/\d+(/\d+)?"),
    "workers": Form("a number from 1", lambda value: type(value) is int and value > 0),
    "set": Form("a table of GROUP.OPTION and plain words, no paths", _is_settings),
    "break": _listed(
        "a list of FILE:LINE and MODULE:QUALNAME, with `if` and one short line",
        rf"{_PLACE}( if [^\x00-\x1f\x7f]{{1,200}})?",
    ),
}


@dataclass(frozen=True)
class TreeFile:
    """What it says; `options` are those besides `services`, by their keys."""

    folder: Path
    services: tuple[str, ...]
    options: Mapping[str, Any]

    def flag(self, name: str, *, default: bool = False) -> bool:
        return bool(self.options.get(name, default))

    def words(self, name: str) -> list[str]:
        return list(self.options.get(name, ()))


def find(start: Path) -> Path:
    """The folder of the tree that `start` is in, as far as that has the file; raises UsageError where it has none."""
    for folder in (start, *start.parents):
        if (folder / NAME).exists():
            return folder
        if (folder / ".git").exists():
            break
    raise UsageError(f"there is no {NAME} in {start}", hint=f"write one that names them: {_EXAMPLE}")


def read(folder: Path, home: UserHome) -> TreeFile:
    """Raises UsageError that names file and key for what must not be there, and for somebody else's file."""
    path = folder / NAME
    home.check_owner(path)
    if (owner := path.stat().st_uid) not in (home.uid, 0):
        raise UsageError(f"cannot use {path}: it belongs to uid {owner}, not to {home.user}", hint="chown it")
    try:
        found = tomllib.loads(_text(path, home))
    except (ValueError, RecursionError) as error:  # besides what is no TOML: endless numbers, tables without a bottom
        raise UsageError(f"cannot read {path}: {error}", hint=_EXAMPLE) from error
    for key, value in found.items():
        _check(path, key, value)
    if not found.get("services"):
        raise UsageError(f"{path} names no services", hint=_EXAMPLE)
    services = tuple(found.pop("services"))
    return TreeFile(folder, services, found)


def _text(path: Path, home: UserHome) -> str:
    """Of a plain file and not too much: a link in a tree may lead to a pipe or a device, which has no end."""
    if not path.is_file():
        raise UsageError(f"cannot read {path}: it is no plain file", hint=_EXAMPLE)
    argv = ["head", f"--bytes={_LARGEST + 1}", "--", str(path)]
    try:
        shown = process.run(argv, env=home.environment(), cwd="/", timeout=_SECONDS, identity=home.identity).stdout
    except CommandFailed as error:
        raise UsageError(f"cannot read {path}: {error.result.tail}") from error
    if len(shown) > _LARGEST:
        raise UsageError(f"cannot read {path}: it has more than {_LARGEST // 1024} KiB", hint=_EXAMPLE)
    return shown


def _check(path: Path, key: str, value: Any) -> None:
    form = FORMS.get(key)
    if form is None:
        near = difflib.get_close_matches(key, FORMS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(FORMS))}"
        raise UsageError(f"{path} has an unknown key {key}", hint=hint)
    if not form.fits(value):
        raise UsageError(f"{path} has {key}, which must be {form.called}", hint="devswap checkout takes what it cannot")
