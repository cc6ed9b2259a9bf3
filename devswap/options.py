"""Which options of `checkout`, `plan`, `run` and `up` go together."""

from __future__ import annotations

import ipaddress
import math
import sys
from collections.abc import Sequence

from devswap import breakpoints, tuning
from devswap.constraints import OFF
from devswap.errors import UsageError
from devswap.tuning import Changes


def check(
    *,
    detach: bool,
    wait: float | None,
    restore_on_exit: bool,
    reload: bool = False,
    apache: bool = False,
    foreground: bool = False,
    kept: bool = False,
) -> None:
    """Raises UsageError for options that would be silently ignored, or could not be meant.

    What is `kept` has a terminal, also in the background.
    """
    if foreground and (detach or apache):
        other = "--detach" if detach else "--apache"
        raise UsageError(f"--foreground and {other} exclude each other", hint="leave one of them out")
    if apache and restore_on_exit:
        raise UsageError("--restore-on-exit is for the foreground", hint="leave --apache or --restore-on-exit out")
    if restore_on_exit and detach and not kept:
        raise UsageError("--restore-on-exit is for the foreground", hint="leave --detach or --restore-on-exit out")
    if reload and ((detach and not kept) or apache):
        raise UsageError("--reload is for the foreground", hint="leave --reload out")
    if wait is not None and not (detach or apache):
        raise UsageError("--wait is for --detach", hint="add --detach, or leave --wait out")
    if wait is not None and not (math.isfinite(wait) and wait > 0):
        raise UsageError(f"--wait takes a number of seconds, not {wait}", hint="--wait 60")


def keeps_terminal(*, detach: bool, terminal: bool | None, apache: bool = False, services: int = 1) -> bool:
    """Whether the run shall have a terminal that outlives the person's: in the background, for a person at one.

    Several services share one only where that is said: the restore of one of them ends it, for all.

    Raises UsageError where --terminal has no meaning.
    """
    if terminal and (not detach or apache):
        raise UsageError("--terminal is for --detach: any other run has a terminal", hint="leave --terminal out")
    if terminal and not sys.stdin.isatty():
        raise UsageError("--terminal is for a person at one", hint="leave --terminal out")
    if terminal is None:
        return detach and not apache and services == 1 and sys.stdin.isatty() and sys.stdout.isatty()
    return terminal


def check_several(
    *, reload: bool = False, debugger: str | None = None, listen: str | None = None, patient: bool = False
) -> None:
    """Raises UsageError for what there is for one service at a time only."""
    if reload:
        raise UsageError("--reload is for one service at a time", hint="leave --reload out")
    if debugger == "debugpy" or listen is not None:
        raise UsageError("debugpy listens on one port, for one service", hint="leave --debugger debugpy out")
    if patient:
        raise UsageError(
            "--patient is for one service at a time: it restarts the others that call it",
            hint="--set DEFAULT.rpc_response_timeout=3600 makes those wait that are taken over with it",
        )


def constraints(named: str | None, *, none: bool) -> str | None:
    """The setting that --constraints and --no-constraints stand for; None where neither is said."""
    if named is not None and none:
        raise UsageError("--constraints and --no-constraints exclude each other", hint="leave one of them out")
    if named == "":
        raise UsageError("--constraints names a page, a file, or cloud", hint="--no-constraints goes without")
    return OFF if none else named


def changes(
    *,
    settings: Sequence[str] | None,
    unset: Sequence[str] | None,
    debug: bool,
    workers: int | None,
    stops: Sequence[str] | None,
    no_break: bool,
    post_mortem: bool | None,
    debugger: str | None,
    listen: str | None,
    wait_for_client: bool | None,
    write_launch: str | None,
) -> Changes:
    """What these options change in how development runs; raises UsageError for what could not be meant."""
    if workers is not None and workers < 1:
        raise UsageError(f"--workers takes a number from 1 on, not {workers}", hint="--workers 1")
    for text in stops or ():
        breakpoints.parse(text)
    if debugger not in (None, *tuning.DEBUGGERS):
        raise UsageError(f"there is no debugger {debugger!r}", hint=f"one of {', '.join(tuning.DEBUGGERS)}")
    if listen is not None and not _is_address(listen):
        raise UsageError(f"--listen takes ADDRESS:PORT, not {listen!r}", hint="--listen 127.0.0.1:5678")
    once, lists = tuning.settings(settings or ())
    gone = tuple(tuning.option(name) for name in unset or ())
    if debug and tuning.DEBUG in (*once, *lists):
        raise UsageError(f"--debug and --set {tuning.DEBUG} say the same option", hint="leave one of them out")
    once = {**({tuning.DEBUG: "true"} if debug else {}), **once}
    if both := [name for name in gone if name in (*once, *lists)]:
        raise UsageError(f"{both[0]} is both set and unset", hint=f"leave --unset {both[0]} out")
    return Changes(
        settings=once,
        lists=lists,
        unset=gone,
        workers=workers,
        breakpoints=tuple(stops or ()),
        clear=no_break,
        post_mortem=post_mortem,
        debugger=debugger,
        listen=listen,
        wait_for_client=wait_for_client,
        launch_folder=write_launch,
    )


def _is_address(text: str) -> bool:
    """Whether it is ADDRESS:PORT."""
    host, _, port = text.rpartition(":")
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return port.isdecimal() and 0 < int(port) < 65536
