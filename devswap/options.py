"""Which options of `checkout`, `plan` and `run` go together."""

from __future__ import annotations

import math

from devswap.constraints import OFF
from devswap.errors import UsageError


def check(*, detach: bool, wait: float | None, restore_on_exit: bool) -> None:
    """Raises UsageError for options that would be silently ignored, or could not be meant."""
    if restore_on_exit and detach:
        raise UsageError("--restore-on-exit is for the foreground", hint="leave --detach or --restore-on-exit out")
    if wait is not None and not detach:
        raise UsageError("--wait is for --detach", hint="add --detach, or leave --wait out")
    if wait is not None and not (math.isfinite(wait) and wait > 0):
        raise UsageError(f"--wait takes a number of seconds, not {wait}", hint="--wait 60")


def constraints(named: str | None, *, none: bool) -> str | None:
    """The setting that --constraints and --no-constraints stand for; None where neither is said."""
    if named is not None and none:
        raise UsageError("--constraints and --no-constraints exclude each other", hint="leave one of them out")
    if named == "":
        raise UsageError("--constraints names a page, a file, or cloud", hint="--no-constraints goes without")
    return OFF if none else named
