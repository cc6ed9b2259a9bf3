"""Examples of the facts that tests need and do not care about."""

from __future__ import annotations

from typing import Any

from devswap.journal import Owner, Swap

OWNER = Owner(user="ada", uid=0, host="aio1", terminal="pts/0", pid=4242)


def swap(**changes: Any) -> Swap:
    facts: dict[str, Any] = {
        "service": "heat-engine",
        "project": "heat",
        "package": "heat",
        "machine": "lxc:aio1-heat-container",
        "unit": "heat-engine.service",
        "owner": OWNER,
        "since": "2026-01-01T00:00:00.000+00:00",
        "ref": "review/1",
        "commit": "0" * 40,
        "subject": "A change",
        "checkout": "/checkouts/review-1",
        "mode": "preparing",
        "slot": 1,
        "watched": {},
        "deployment": {},
        **changes,
    }
    return Swap(**facts)
