"""Whether a change has a newer patchset than the one that runs: asked in the background, and at most once an hour.

Nobody waits for the answer. A process of its own asks and notes it in the state folder, and what is noted there is
told; without a network nothing is.

    STATE/newest/DIGEST.json    when it was asked, the newest patchset, and what Gerrit says of the change
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from devswap import process
from devswap.journal import Swap, make_private, write_durably

_SECONDS = 3600.0


def note(state: Path, review: Mapping[str, Any], *, now: Callable[[], float] = time.time) -> None:
    """Keep what a checkout has just learned: for an hour it need not be asked."""
    with suppress(OSError):  # a full disk: then it is asked again
        write(_path(state, review), {name: review[name] for name in ("newest", "status")}, asked=now())


def ask_all(state: Path, swap: Swap) -> None:
    """Have the servers asked about a swap's change, and those of its libraries."""
    for review in _reviews(swap):
        ask(state, review)


def _reviews(swap: Swap) -> list[dict[str, Any]]:
    found = (swap.review, *(library["review"] for library in swap.libraries))
    return [review for review in found if review is not None]


def told(review: Mapping[str, Any]) -> str:
    """In a line: the change, its patchset, and whether there is a newer one."""
    who = f" by {review['owner']}" if review["owner"] else ""
    branch = f" for {review['branch']}" if review["branch"] else ""
    status = f", {review['status'].lower()}" if review["status"] else ""
    newer = f"; a newer patchset exists: {review['newest']}" if is_outdated(review) else ""
    return f"change {review['change']}, patchset {review['patchset']}{who}{branch}{status}{newer}"


def newer(state: Path, swap: Swap) -> list[str]:
    """What there is to say of newer patchsets, from what is known."""
    found = (known(state, review) for review in _reviews(swap))
    return [
        f"a newer patchset of change {each['change']} exists: {each['newest']}, this is {each['patchset']}"
        for each in found
        if is_outdated(each)
    ]


def ask(state: Path, review: Mapping[str, Any], *, now: Callable[[], float] = time.time) -> None:
    """Have the server asked if that was not done lately; returns at once."""
    path = _path(state, review)
    known = read(path)
    if not review["url"] or 0 <= now() - known.get("asked", 0.0) < _SECONDS:
        return
    try:
        write(path, known, asked=now())
    except OSError:  # a full disk: then it is not known
        return
    argv = [path, review["project"], review["change"], review["url"], review["rest"] or ""]
    process.popen(
        [sys.executable, "-P", "-m", "devswap.newest_asked", *map(str, argv)],
        stdin=process.DEVNULL,
        stdout=process.DEVNULL,
        stderr=process.DEVNULL,
        cwd="/",
    )


def known(state: Path, review: Mapping[str, Any]) -> dict[str, Any]:
    """The review with the newest that is known of it."""
    found = read(_path(state, review))
    latest = max((each for each in (review["newest"], found.get("newest")) if each), default=None)
    return {**review, "newest": latest, "status": found.get("status") or review["status"]}


def is_outdated(review: Mapping[str, Any]) -> bool:
    return bool(review["newest"] and review["patchset"] and review["newest"] > review["patchset"])


def _path(state: Path, review: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(f"{review['url']} {review['project']} {review['change']}".encode()).hexdigest()[:16]
    return state / "newest" / f"{digest}.json"


def read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, found: Mapping[str, Any], *, asked: float) -> None:
    make_private(path.parent)
    write_durably(path, json.dumps({**found, "asked": asked}).encode())
