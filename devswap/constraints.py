"""The upper constraints of a branch: the versions that its own tests run with.

They are a page, a file, or what the cloud's repository container keeps. Not said which, it is the container's, for a
checkout of the series that production runs: another series has other constraints.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from devswap import process
from devswap.discovery.repository import Published
from devswap.errors import CommandFailed, DevswapError, UsageError
from devswap.invoker import UserHome
from devswap.journal import make_private, write_durably
from devswap.masking import mask
from devswap.requirements import requirement_lines

OFF = "off"
CLOUD = "cloud"
_BRANCH = "{branch}"
_FRESH = 24 * 3600
_SECONDS = 30
_LARGEST = 5_000_000
_NONE_HINT = "--no-constraints goes without"


@dataclass(frozen=True)
class Context:
    """What the wish is judged by: the checkout's branch and series, and what the cloud has."""

    branch: str | None
    is_of_productions_series: bool
    cloud: Callable[[], Published | None]
    home: UserHome
    """The invoking user's, for ~ and for what they may read."""
    kept: Path
    """A folder for pages that were fetched."""
    say: Callable[[str], None]


def chosen(wish: str, context: Context) -> str:
    """The text of the constraints in force; empty for none. Raises DevswapError where those asked for are not there."""
    if wish == OFF:
        return ""
    if wish in ("", CLOUD):
        return _of_cloud(context, asked=bool(wish))
    name = _with_branch(wish, context.branch)
    text = _page(name, context) if "://" in name else _file(name, context.home)
    if not is_list(text):
        raise DevswapError(f"cannot use {mask(name)}: it is no list of constraints", hint=_NONE_HINT)
    context.say(f"constraints are those of {mask(name)}")
    return text


def _of_cloud(context: Context, *, asked: bool) -> str:
    if not asked and not context.is_of_productions_series:
        return ""
    found = context.cloud()
    if found is None and asked:
        raise DevswapError(
            "no repository container of this cloud has upper constraints",
            hint=f"name a page or a file: --constraints URL|FILE; {_NONE_HINT}",
        )
    return found.text if found else ""


def _with_branch(wish: str, branch: str | None) -> str:
    """{branch} is the last word of the branch's name, as pages of constraints are called: stable/2026.1 is 2026.1."""
    if _BRANCH not in wish:
        return wish
    if branch is None:
        raise DevswapError(
            f"cannot tell whose constraints {mask(wish)} are: the checkout names no branch",
            hint=f"write the branch in place of {_BRANCH}; {_NONE_HINT}",
        )
    return wish.replace(_BRANCH, branch.rpartition("/")[2])


def _file(name: str, home: UserHome) -> str:
    """Read as the invoking user: what is in it is shown to the code of their checkout."""
    path = home.home / name.removeprefix("~/") if name.startswith("~/") else Path(name)
    argv = ["cat", "--", str(path)]
    try:
        return process.run(argv, env=home.environment(), timeout=_SECONDS, identity=home.identity).stdout
    except CommandFailed as error:
        raise DevswapError(f"cannot read the constraints {path}: {error.result.tail}", hint=_NONE_HINT) from error


def _page(address: str, context: Context) -> str:
    """Fetched at most once a day; where that fails, what was fetched before is better than nothing, and said."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise UsageError(f"cannot fetch constraints from {mask(address)}", hint="give an http or https page, or a file")
    kept = context.kept / f"{hashlib.sha256(address.encode()).hexdigest()[:20]}.txt"
    if kept.exists() and 0 <= time.time() - kept.stat().st_mtime < _FRESH:
        return kept.read_text(encoding="utf-8")
    try:
        text = _fetch(address)
        if not is_list(text):
            raise ValueError("what it shows is no list of constraints")
    except (OSError, ValueError) as error:
        why = mask(str(getattr(error, "reason", error)))
        if not kept.exists():
            raise DevswapError(f"cannot fetch the constraints {mask(address)}: {why}", hint=_NONE_HINT) from error
        context.say(f"constraints are those fetched before: {mask(address)} does not answer ({why})")
        return kept.read_text(encoding="utf-8")
    make_private(context.kept)
    write_durably(kept, text.encode())
    return text


def is_list(text: str) -> bool:
    """Whether there is a requirement in it: a page that asks for a password has none."""
    return any(map(_is_requirement, requirement_lines(text)))


def _fetch(address: str) -> str:
    import urllib.request  # slow, and needed for this only

    with urllib.request.urlopen(address, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme was looked at
        text = answer.read(_LARGEST).decode("utf-8", errors="replace")
        return str(text)


def _is_requirement(line: str) -> bool:
    try:
        Requirement(line)
    except InvalidRequirement:
        return False
    return True
