"""Asks Gerrit's REST interface what refs alone cannot tell; anonymous, and never needed for anything else to work."""

from __future__ import annotations

import json
import logging
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import http.client

log = logging.getLogger(__name__)

_SECONDS = 5.0
_LARGEST = 5_000_000
# put before every answer, so that a browser never runs it (Gerrit REST API, "Output format")
_PREFIX = ")]}'"
OPEN = "NEW"


@dataclass(frozen=True)
class Review:
    """A change as Gerrit describes it; `patchset` is the newest one, `project` as Gerrit calls it: openstack/heat."""

    number: int
    project: str
    branch: str
    subject: str
    owner: str
    status: str
    """NEW, MERGED or ABANDONED."""
    patchset: int | None

    def __str__(self) -> str:
        return f"change {self.number} by {self.owner} for {self.branch}, {self.status.lower()}: {self.subject}"


def reviews(base: str, change: int | str) -> list[Review] | None:
    """The changes with a number, or with a Change-Id; None if Gerrit does not answer."""
    return _found(base, f"change:{change}")


def with_commit(base: str, project: str, commit: str) -> list[int]:
    """The numbers of the changes that have a patchset whose name begins with `commit`; none if Gerrit is silent."""
    return sorted(each.number for each in of_project(_found(base, f"commit:{commit}") or [], project))


def _found(base: str, query: str) -> list[Review] | None:
    options = [("q", query), ("o", "CURRENT_REVISION"), ("o", "DETAILED_ACCOUNTS")]
    found = _get(f"{base.rstrip('/')}/changes/?{urllib.parse.urlencode(options)}")
    try:
        return None if found is None else [_review(each) for each in found]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        log.debug("cannot read what %s answers: %r", base, error)
        return None


def review(base: str, number: int, project: str) -> Review | None:
    """The change with a number, if it belongs to `project`; None if Gerrit does not answer or knows no such."""
    return next(of_project(reviews(base, number) or [], project), None)


def numbers(base: str, project: str, change_id: str) -> list[int] | None:
    """The numbers of the changes with a Change-Id, the open ones if there are any; None if Gerrit does not answer."""
    found = reviews(base, change_id)
    if found is None:
        return None
    own = list(of_project(found, project))
    still_open = [each for each in own if each.status == OPEN]
    return sorted(each.number for each in still_open or own)


def of_project(found: Iterable[Review], project: str) -> Iterator[Review]:
    """Those of the repository `project`, whatever folder of Gerrit's it is in."""
    return (each for each in found if each.project.rpartition("/")[2] == project)


def _review(found: dict[str, Any]) -> Review:
    owner = found.get("owner", {})
    current = found.get("revisions", {}).get(found.get("current_revision"), {})
    return Review(
        number=int(found["_number"]),
        project=str(found["project"]),
        branch=str(found.get("branch", "")),
        subject=str(found.get("subject", "")),
        owner=str(owner.get("name") or owner.get("username") or owner.get("_account_id", "somebody")),
        status=str(found["status"]),
        patchset=int(current["_number"]) if "_number" in current else None,
    )


def _get(address: str) -> list[dict[str, Any]] | None:
    if not address.startswith(("http://", "https://")):
        return None
    import http.client  # slow, and needed where something is asked only: `status` never does
    import urllib.request

    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:  # noqa: S310 - http(s) only, see above
            found: list[dict[str, Any]] = json.loads(_whole(answer).decode().removeprefix(_PREFIX))
            return found
    except (OSError, ValueError, http.client.HTTPException) as error:
        log.debug("no answer from %s: %s", address, error)
        return None


def _whole(answer: http.client.HTTPResponse) -> bytes:
    """All of an answer; TimeoutError for one that goes on coming, byte by byte."""
    found, deadline = b"", time.monotonic() + _SECONDS
    while part := answer.read1(65536):
        found += part
        if time.monotonic() > deadline or len(found) > _LARGEST:
            raise TimeoutError("it goes on and on")
    return found
