"""Puts the real host together for a command."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from devswap import console, entries, hooks, owners, settings
from devswap.discovery import machines
from devswap.errors import DevswapError, UsageError
from devswap.host import Host
from devswap.invoker import UserHome, invoking_user
from devswap.journal import Owner, make_private


def open_host_to_restore() -> Host:
    """As `open_host`, but what is wrong with the user's own settings is only said: a way back needs none of them."""
    try:
        return open_host()
    except DevswapError as error:
        if os.geteuid() != 0:
            raise
        console.say(f"{error.message}: going on without the user's settings")
        return open_host(without_own=True)


def open_host(*, yes: bool = False, without_own: bool = False, **chosen_now: object) -> Host:
    """`chosen_now` are settings from the command line; None leaves what the files and the environment say.

    `yes` answers every question with its first choice.

    Raises DevswapError for anybody but root: containers cannot be entered otherwise.
    """
    if os.geteuid() != 0:
        raise DevswapError("devswap works on containers, which needs root", hint="sudo devswap …")
    home = cache(lambda: invoking_user({} if without_own else os.environ))
    own = None if without_own else home().home
    trusted = frozenset({0, home().uid})
    chosen = settings.load(own, os.environ, trusted=trusted)
    chosen = settings.override(chosen, {name: value for name, value in chosen_now.items() if value is not None})
    _require_private(chosen.state_dir)
    console.keep_log(chosen.state_dir)
    return Host(
        settings=chosen,
        catalogue=cache(lambda: entries.load(own, trusted=trusted)),
        hooks=lambda project, service: hooks.find(project, service, hooks.shelves(own, home().uid)),
        home=home,
        owner=_owner(home()),
        running=machines.running,
        stopped=machines.stopped,
        machine=machines.at,
        choose=(lambda question, options: 0) if yes else console.choose,  # noqa: ARG005
        now=lambda: datetime.now(UTC).astimezone().isoformat(timespec="milliseconds"),
        say=console.say,
    )


def _require_private(folder: Path) -> None:
    """What lies here is believed and run as root: it must be root's alone."""
    hint = "DEVSWAP_STATE_DIR, or state_dir in /etc/devswap/config.toml, names another place"
    if not folder.is_absolute():
        raise UsageError(f"the state folder {str(folder)!r} is no absolute path", hint=hint)
    try:
        make_private(folder)
        found = folder.stat()
    except OSError as error:
        raise DevswapError(f"cannot use the state folder {folder}: {error.strerror}", hint=hint) from error
    if found.st_uid != 0 or stat.S_IMODE(found.st_mode) & 0o022:
        raise DevswapError(
            f"cannot use {folder}: others than root may write there", hint=f"chown root: {folder} && chmod 700 {folder}"
        )


def _owner(home: UserHome) -> Owner:
    return owners.this_process(home.user, home.uid, _terminal())


def _terminal() -> str:
    try:
        return os.ttyname(0).removeprefix("/dev/")
    except OSError:
        return ""
