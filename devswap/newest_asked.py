"""Asks a server for the newest patchset of a change: a process of its own, which nobody waits for (see newest.py).

python -m devswap.newest_asked NOTE PROJECT CHANGE URL REST
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from devswap import gerrit, newest
from devswap.errors import DevswapError
from devswap.git import Git
from devswap.invoker import UserHome, invoking_user
from devswap.mirror import as_user
from devswap.refs import change_ref


def main(note: str, project: str, number: str, url: str, rest: str) -> None:
    """Ask, and add the answer to the note; nothing is said of what goes wrong."""
    with suppress(DevswapError):
        found = ask(invoking_user(), project, int(number), url, rest)
        path = Path(note)
        newest.write(path, {**newest.read(path), **found}, asked=time.time())


def ask(home: UserHome, project: str, number: int, url: str, rest: str) -> dict[str, Any]:
    """What is known now: REST's answer, else the newest patchset on the git server; DevswapError if neither answers."""
    review = gerrit.review(rest, number, project) if rest else None
    if review is not None:
        return {"newest": review.patchset, "status": review.status}
    return {"newest": _newest(home, project, number, url)}


def _newest(home: UserHome, project: str, number: int, url: str) -> int | None:
    """Fetches the commits of the change's patchsets and nothing else, and throws them away.

    The server filters what is fetched; `git ls-remote` would list all changes there are.
    """
    folder = home.folder / "mirrors" / f".newest.{project}.{number}.git"
    home.check_owner(folder)
    git = Git(home, folder)
    as_user(home, "rm", "-rf", "--", str(folder))
    as_user(home, "mkdir", "-p", "--", str(folder))
    try:
        git.run("init", "--quiet", "--bare", "--template=")
        for name, value in {"url": url, "promisor": "true", "partialCloneFilter": "tree:0"}.items():
            git.run("config", f"remote.changes.{name}", value)
        wanted = f"+{change_ref(number, None)}/*:refs/found/*"
        git.fetch(["--no-tags", "--depth=1", "changes", wanted], lock=folder / "lock", say=lambda _: None)
        listed = git.read("for-each-ref", "--format=%(refname:lstrip=2)").split()
        return max((int(name) for name in listed if name.isdecimal()), default=None)
    finally:
        as_user(home, "rm", "-rf", "--", str(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
