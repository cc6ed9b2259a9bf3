"""Puts the real host together for a command."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache

from devswap import console, owners, settings
from devswap.discovery import machines
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.invoker import UserHome, invoking_user
from devswap.journal import Owner
from devswap.service import load_catalogue


def open_host(*, yes: bool = False, **chosen_now: object) -> Host:
    """`chosen_now` are settings from the command line; None leaves what the files and the environment say.

    `yes` answers every question with its first choice.

    Raises DevswapError for anybody but root: containers cannot be entered otherwise.
    """
    if os.geteuid() != 0:
        raise DevswapError("devswap works on containers, which needs root", hint="sudo devswap …")
    home = cache(invoking_user)
    chosen = settings.load(home().home, os.environ, trusted=frozenset({0, home().uid}))
    chosen = settings.override(chosen, {name: value for name, value in chosen_now.items() if value is not None})
    console.keep_log(chosen.state_dir)
    return Host(
        settings=chosen,
        catalogue=cache(load_catalogue),
        home=home,
        owner=_owner(home()),
        running=machines.running,
        machine=machines.at,
        choose=(lambda question, options: 0) if yes else console.choose,  # noqa: ARG005
        now=lambda: datetime.now(UTC).astimezone().isoformat(timespec="milliseconds"),
        say=console.say,
    )


def _owner(home: UserHome) -> Owner:
    return owners.this_process(home.user, home.uid, _terminal())


def _terminal() -> str:
    try:
        return os.ttyname(0).removeprefix("/dev/")
    except OSError:
        return ""
