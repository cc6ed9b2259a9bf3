"""Turns a REF into a checkout on the host, ready to be mounted into a machine.

The user's own tree is used as it is, and nothing in it ever changes, not even git's index. Anything else is fetched
into the project's mirror and checked out below the user's folder, as that user.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from devswap import gerrit, refs
from devswap.errors import DevswapError, UsageError
from devswap.gerrit import Review
from devswap.git import Git, of_checkout
from devswap.invoker import UserHome
from devswap.mirror import Mirror, lock_of, open_mirror
from devswap.pbr_version import version_of
from devswap.resolve import Found, Remotes, find
from devswap.tree import Tree, target_branch
from devswap.turns import turn

__all__ = ["Checkout", "Remotes", "prepare", "require"]

_PROJECT = re.compile(r"[A-Za-z0-9][\w.-]*")
_BUILT_FROM = ("setup.cfg", "setup.py", "pyproject.toml")


@dataclass(frozen=True)
class Checkout:
    """A source tree on the host.

    `commit` is what is checked out, `resolved` the full ref it came from, `version` what pbr would say; `message` is
    the whole commit message, for its footers. `change`, `patchset` and `newest` are a Gerrit change's, and `review` is
    what Gerrit says of it, where it answers. `previous` is the commit that this checkout was on before, if it was
    moved. `own_tree`: the user's own path, never changed by us; anything else came from `remotes`.
    """

    project: str
    path: Path
    ref: str
    commit: str
    subject: str
    message: str
    version: str
    branch: str | None
    dirty: bool
    own_tree: bool
    resolved: str
    change: int | None = None
    patchset: int | None = None
    newest: int | None = None
    previous: str | None = None
    remotes: Remotes | None = None
    review: Review | None = None


def prepare(
    project: str,
    ref: str,
    *,
    remotes: Remotes,
    home: UserHome,
    cache: Path,
    say: Callable[[str], None],
    now: Callable[[], float] = time.time,
) -> Checkout:
    """The checkout of `ref`, made or brought up to date; raises DevswapError with nothing changed.

    `cache` is the folder of mirrors, and belongs to the user. A checkout is moved only if nothing in it would be lost.
    """
    meaning = refs.parse(ref)
    if not _PROJECT.fullmatch(project):
        raise UsageError(f"{project!r} is no name of a project")
    if isinstance(meaning, refs.OwnTree):
        return _own_tree(project, ref, meaning, home)
    with turn(lock_of(project, cache=cache, home=home), say=say):
        mirror = open_mirror(project, cache=cache, home=home, say=say)
        checkout = _from_servers(project, ref, meaning, remotes, mirror, now)
    if isinstance(meaning, refs.Fork):
        return replace(checkout, remotes=Remotes(meaning.url, meaning.url))
    asked = remotes.rest and checkout.change and gerrit.review(remotes.rest, checkout.change, project)
    return replace(checkout, remotes=remotes, review=asked or None)


def require(
    project: str,
    ref: str,
    *,
    remotes: Remotes,
    home: UserHome,
    cache: Path,
    say: Callable[[str], None],
    now: Callable[[], float] = time.time,
) -> None:
    """Raise DevswapError where `prepare` would find no such ref; no checkout is made or moved."""
    meaning = refs.parse(ref)
    if isinstance(meaning, refs.OwnTree):
        _own_tree(project, ref, meaning, home)
        return
    with turn(lock_of(project, cache=cache, home=home), say=say):
        find(meaning, project, remotes, open_mirror(project, cache=cache, home=home, say=say), now)


def _from_servers(
    project: str,
    ref: str,
    meaning: refs.RemoteRef | refs.Fork,
    remotes: Remotes,
    mirror: Mirror,
    now: Callable[[], float],
) -> Checkout:
    home = mirror.git.home
    path = home.folder / "checkouts" / project / refs.slug(meaning)
    home.check_owner(path)
    found = find(meaning, project, remotes, mirror, now)
    tree = Tree(home, path, _local_branch(meaning, found))
    previous = tree.git.commit("HEAD") if path.exists() else None
    if previous != found.commit:
        mirror.complete(found.commit, (found.url, remotes.branches, remotes.changes))
    if path.exists():
        tree.move(found, remotes, mirror)
    else:
        mirror.say(f"checking {found.resolved} out in {path}")
        tree.create(found, remotes, mirror)
    return _described(project, ref, tree, found, previous)


def _local_branch(meaning: refs.RemoteRef | refs.Fork, found: Found) -> str | None:
    """What the user finds themselves on: the branch, or one named after the change; tags and commits are detached."""
    if found.branch:
        return found.branch
    if found.change:
        return f"review/{found.change}"
    inside = meaning.inside if isinstance(meaning, refs.Fork) else meaning
    return f"pr/{inside.number}" if isinstance(inside, refs.PullRequest) else None


def _described(project: str, ref: str, tree: Tree, found: Found, previous: str | None) -> Checkout:
    message = _message(tree.git, found.commit)
    return Checkout(
        project=project,
        path=tree.path,
        ref=ref,
        commit=found.commit,
        subject=message.partition("\n")[0],
        message=message,
        version=version_of(tree.git, found.commit),
        branch=found.branch or target_branch(tree.git, found.commit),
        dirty=False,
        own_tree=False,
        resolved=found.resolved,
        change=found.change,
        patchset=found.patchset,
        newest=found.newest,
        previous=previous if previous != found.commit else None,
    )


def _own_tree(project: str, ref: str, meaning: refs.OwnTree, home: UserHome) -> Checkout:
    """The user's working tree, looked at without git's optional locks, so that not even its index is refreshed."""
    typed = Path(meaning.path)
    start = home.home / typed.relative_to("~") if typed.parts[:1] == ("~",) else typed.absolute()
    if not start.is_dir():
        raise DevswapError(f"cannot use {start}: there is no such folder", hint=f"give {refs.FORMS}")
    start = start.resolve()
    top = of_checkout(home, start).run("rev-parse", "--show-toplevel", ok=(0, 128))
    if top.code != 0:
        raise DevswapError(
            f"cannot use {start}: it is not in a git work tree",
            hint=f"its version comes from git: git -C {shlex.quote(str(start))} init, and commit",
        )
    path = Path(top.stdout.rstrip("\n"))
    git = of_checkout(home, path)
    commit = git.commit("HEAD")
    if commit is None:
        raise DevswapError(f"cannot use {path}: it has no commit yet", hint=f"git -C {shlex.quote(str(path))} commit")
    if not any((path / name).is_file() for name in _BUILT_FROM):
        raise DevswapError(
            f"cannot use {path}: it is no Python project ({', '.join(_BUILT_FROM)}: none is there)",
            hint=f"give the path of a tree of {project}",
        )
    message = _message(git, commit)
    on = git.run("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).stdout.strip()
    return Checkout(
        project=project,
        path=path,
        ref=ref,
        commit=commit,
        subject=message.partition("\n")[0],
        message=message,
        version=version_of(git, commit),
        branch=target_branch(git, commit),
        dirty=bool(git.read("status", "--porcelain")),
        own_tree=True,
        resolved=on or commit,
    )


def _message(git: Git, commit: str) -> str:
    return git.read("log", "-1", "--format=%B", "--no-show-signature", commit, "--")
