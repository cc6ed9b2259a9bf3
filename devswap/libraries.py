"""The libraries that are run from checkouts of their own instead of production's copies: `--with LIB=REF`.

LIB is the library's name as its repository and the package index have it; what is imported of it is read from its tree.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from devswap import refs
from devswap.errors import UsageError
from devswap.overlay_request import Library, read
from devswap.refs import OwnTree
from devswap.source import Checkout

_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)=(?P<ref>.+)")
_HINT = "--with oslo.messaging=review/456, or the path of a tree: --with ~/src/oslo.db"

Fetch = Callable[[str, str], Checkout]
"""(project, ref) to a checkout on the host; the project may be written openstack/oslo.db."""


@dataclass(frozen=True)
class Wanted:
    """A library that somebody asked for; without a name it is the one of the tree that `ref` leads to."""

    name: str | None
    ref: str
    project: str | None = None
    """Where its repository is, if that is known: openstack/oslo.db."""


@dataclass(frozen=True)
class Chosen:
    """A library's checkout, and its name on the package index."""

    distribution: str
    checkout: Checkout

    @property
    def library(self) -> Library:
        return Library(self.distribution, self.checkout.path, self.checkout.version)


def parse(text: str) -> Wanted:
    """Raises UsageError for what names neither a library with a REF nor a path."""
    if found := _NAMED.fullmatch(text):
        refs.parse(found["ref"])
        return Wanted(found["name"], found["ref"])
    if text and not text.startswith("-") and isinstance(refs.parse(text), OwnTree):
        return Wanted(None, text)
    raise UsageError(f"cannot tell the library of {text!r}: it is not LIB=REF", hint=_HINT)


def choose(wanted: Sequence[Wanted], *, besides: str, fetch: Fetch) -> list[Chosen]:
    """The checkouts of the libraries; `besides` is the distribution of the service, which is none of them."""
    chosen: list[Chosen] = []
    for each in wanted:
        found = _choose(each, fetch)
        if _same(found.distribution, besides):
            raise UsageError(
                f"{found.distribution} is what the service itself is made from", hint="give it as REF, without --with"
            )
        if any(_same(found.distribution, other.distribution) for other in chosen):
            raise UsageError(f"{found.distribution} is given by --with more than once", hint="leave one of them out")
        chosen.append(found)
    return chosen


def _choose(wanted: Wanted, fetch: Fetch) -> Chosen:
    checkout = fetch(wanted.project or wanted.name or "library", wanted.ref)
    name = distribution_of(checkout.path)
    if wanted.name is None:
        if name is None:
            raise UsageError(
                f"{checkout.path} does not say what it is called", hint=f"name it: --with LIB={wanted.ref}"
            )
        return Chosen(name, replace(checkout, project=name))
    if name is not None and canonicalize_name(name) not in names_of(wanted.name):
        raise UsageError(f"{checkout.path} is {name}, not {wanted.name}", hint=f"--with {name}={wanted.ref}")
    return Chosen(name or wanted.name, checkout)


def distribution_of(tree: Path) -> str | None:
    """What a source tree calls itself in pyproject.toml or setup.cfg."""
    try:
        project = tomllib.loads(read(tree / "pyproject.toml")).get("project", {})
    except tomllib.TOMLDecodeError:
        project = {}
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read_string(read(tree / "setup.cfg"))
    except configparser.Error:
        return None
    name = str(project.get("name") or settings.get("metadata", "name", fallback="")).strip()
    return name if re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) else None


def names_of(repository: str) -> set[str]:
    """What the package of a repository may be called: heat's is openstack-heat."""
    return {canonicalize_name(repository), canonicalize_name(f"openstack-{repository}")}


def _same(one: str, other: str) -> bool:
    return bool(canonicalize_name(one) == canonicalize_name(other))
