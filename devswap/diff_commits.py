"""The commits between what production has installed and a checkout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from devswap import requirements
from devswap.errors import DevswapError
from devswap.git import Git
from devswap.machine import Machine

_MOST_LINES = 200


@dataclass(frozen=True)
class Installed:
    """A version in production, and the commit it was built from, where pbr noted that."""

    version: str
    sha: str | None


@dataclass(frozen=True)
class Base:
    """Production's commit, by what it was found."""

    name: str
    commit: str


@dataclass(frozen=True)
class Commits:
    """`count` commits that production has not, the newest first in `log` (the first 200); `lacks`: the other way."""

    base: str
    count: int
    log: list[str]
    lacks: int
    edited: list[str]
    """The files with edits that are in no commit."""


def installed(machine: Machine, site_folders: Sequence[str], distribution: str) -> Installed:
    for folder in site_folders:
        package = requirements.packages(machine.names(folder)).get(canonicalize_name(distribution))
        if package is not None:
            return Installed(package.version, _sha(machine.read_text(f"{folder}/{package.metadata}/pbr.json")))
    raise DevswapError(f"cannot find {distribution} among production's packages in {machine.name}")


def _sha(noted: str | None) -> str | None:
    """pbr.json: {"git_version": "1a2b3c4", "is_release": true}."""
    try:
        return str(json.loads(noted or "{}")["git_version"])
    except (ValueError, KeyError, TypeError):
        return None


def base(git: Git, production: Installed) -> Base | None:
    """Production's commit in the checkout's repository: the one that was noted, else that of the version's tag."""
    if production.sha and (commit := git.commit(production.sha)):
        return Base(production.sha, commit)
    for tag in (production.version, f"v{production.version}"):
        if commit := git.commit(f"refs/tags/{tag}"):
            return Base(tag, commit)
    return None


def since(git: Git, start: Base) -> Commits:
    """Both ways, and what is in no commit."""
    ours, theirs = f"{start.commit}..HEAD", f"HEAD..{start.commit}"
    edits = git.read("status", "--porcelain", "--untracked-files=no").splitlines()
    log = git.read("log", f"--max-count={_MOST_LINES}", "--format=%h %s", "--no-show-signature", ours, "--")
    return Commits(
        base=start.name,
        count=int(git.read("rev-list", "--count", ours, "--")),
        log=log.splitlines(),
        lacks=int(git.read("rev-list", "--count", theirs, "--")),
        edited=[line[3:] for line in edits],
    )
