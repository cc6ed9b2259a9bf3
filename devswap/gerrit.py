"""Asks Gerrit's REST interface what refs alone cannot tell; anonymous, and never needed for anything else to work."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

log = logging.getLogger(__name__)

_SECONDS = 10
# put before every answer, so that a browser never runs it (Gerrit REST API, "Output format")
_PREFIX = ")]}'"


def numbers(base: str, project: str, change_id: str) -> list[int] | None:
    """The numbers of the changes with a Change-Id, the open ones if there are any; None if Gerrit does not answer."""
    query = urllib.parse.urlencode({"q": f"change:{change_id}"})
    changes = _get(f"{base.rstrip('/')}/changes/?{query}")
    if changes is None:
        return None
    own = [change for change in changes if str(change["project"]).rpartition("/")[2] == project]
    still_open = [change for change in own if change["status"] == "NEW"]
    return sorted(int(change["_number"]) for change in still_open or own)


def _get(address: str) -> list[dict[str, Any]] | None:
    if not address.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:  # noqa: S310 - http(s) only, see above
            found: list[dict[str, Any]] = json.loads(answer.read().decode().removeprefix(_PREFIX))
            return found
    except (OSError, ValueError) as error:
        log.debug("no answer from %s: %s", address, error)
        return None
