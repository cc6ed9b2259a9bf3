"""Runs what a developer asks for beside a swapped service: as its user, in its checkout, with its overlay."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from devswap import development, edits, locate, plan, systemd, unit_environment, way
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.journal import Swap
from devswap.tuning import Tuning


def run(host: Host, service: str, machine: str | None, command: Sequence[str]) -> int:
    """Run `command` on this terminal and return its exit code.

    It runs as a unit with a name of ours, so that a restore can end it.
    """
    journal = locate.swap(host, service, machine)
    locate.require_owner(host, journal)
    swap = journal.swap
    here = host.machine(swap.machine)
    if swap.mode == "preparing" or not here.mounted(plan.slot(service, swap.slot).checkout):
        raise DevswapError(
            f"the checkout of {service} is not in {here.name}: its machine was restarted, or its checkout interrupted",
            hint=f"devswap restore {journal.called}",
        )
    lent = development.lent_environment(service, str(os.getpid()))
    with (
        unit_environment.lent(here, swap.unit, lent) as files,
        here.popen(_argv(swap, command, files, edits.view_of(host, swap)), new_session=False) as process,
    ):
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # it is the command's: the terminal sent it there too


def _argv(swap: Swap, command: Sequence[str], environment_files: Sequence[str], view: Mapping[str, str]) -> list[str]:
    home = plan.slot(swap.service, swap.slot).bytecode
    terminal = {"TERM": os.environ.get("TERM", "dumb")} if sys.stdin.isatty() else {}
    settings = {**way.command_of(swap).environment, **Tuning.read(swap.tuning).environment()}
    line = systemd.unit_argv(
        development.beside_units(swap.service).replace("*", str(os.getpid())),
        # systemd-run itself would look for the program on its own PATH, where the overlay is not
        development.overriding(["/usr/bin/env", "--", *command], {**settings, **terminal, "HOME": home}),
        user=swap.deployment["user"],
        group=swap.deployment["group"],
        environment_files=environment_files,
        cwd=plan.slot(swap.service, swap.slot).checkout,
        # a shell ignores SIGTERM, and must not keep a restore waiting
        properties={"SendSIGHUP": "yes", "TimeoutStopSec": "5s", **view},
    )
    return ["--pty" if word == "--pipe" and sys.stdin.isatty() else word for word in line]
