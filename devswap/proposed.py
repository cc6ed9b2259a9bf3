"""Looks at proposed changes without checking them out: what they say, and which history has them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devswap.git import Git
from devswap.invoker import UserHome
from devswap.mirror import lock_of, open_mirror
from devswap.refs import Fork, RemoteRef
from devswap.resolve import Remotes, find
from devswap.turns import turn

_MOST_COMMITS = 50
_CHANGE_ID = re.compile(r"^Change-Id: (I[0-9a-f]{40})\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Proposed:
    """A change on its server; `messages` are those of its commits that no branch has, its own first."""

    commit: str
    number: int | None
    messages: tuple[str, ...]
    merged_into: str | None
    """A branch that has it."""


def look_up(
    project: str,
    ref: RemoteRef | Fork,
    *,
    remotes: Remotes,
    home: UserHome,
    cache: Path,
    say: Callable[[str], None],
    now: Callable[[], float] = time.time,
) -> Proposed:
    """What a server has under `ref`; it is in the project's mirror afterwards. Raises DevswapError if there is none."""
    with turn(lock_of(project, cache=cache, home=home), say=say):
        mirror = open_mirror(project, cache=cache, home=home, say=say)
        found = find(ref, project, remotes, mirror, now)
        heads = mirror.kept(ref.url if isinstance(ref, Fork) else remotes.branches, "heads/")
        having = mirror.git.read("for-each-ref", "--contains", found.commit, "--format=%(refname)", heads)
        branches = sorted(name.removeprefix(heads) for name in having.splitlines())
        return Proposed(
            found.commit,
            found.change,
            messages(mirror.git, found.commit, f"--glob={heads}*"),
            "master" if "master" in branches else next(iter(branches), None),
        )


def messages(git: Git, commit: str, *branches: str) -> tuple[str, ...]:
    """The messages of a commit and of those before it that none of `branches` (git log's arguments) has."""
    listed = git.read(
        "log",
        f"--max-count={_MOST_COMMITS}",
        "--format=%B%x00",
        "--no-show-signature",
        commit,
        "--not",
        *branches,
        "--",
    )
    return tuple(text.strip() for text in listed.split("\0") if text.strip())


def has(git: Git, commit: str, other: str, message: str) -> bool:
    """Whether the history of `commit` has `other`, or another patchset of it."""
    if git.run("merge-base", "--is-ancestor", other, commit, ok=(0, 1, 128)).code == 0:
        return True
    named = _CHANGE_ID.search(message)
    if named is None:
        return False
    grep = f"--grep=^Change-Id: {named[1]}"
    return bool(git.read("log", "--max-count=1", "--format=%H", "--no-show-signature", grep, commit, "--"))
