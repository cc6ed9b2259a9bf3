"""Which runs are on a terminal that is kept, and how a command line names them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import takewhile

from devswap import claims, kept_terminal
from devswap.host import Host
from devswap.journal import Journal
from devswap.kept_terminal import Kept
from devswap.machine import name_of


def of(host: Host, kept: Kept) -> list[Journal]:
    """Whose run is on it: those that its devswap has a claim on."""
    return [journal for journal in host.journals.all() if runs_on(host, journal, kept)]


def runs_on(host: Host, journal: Journal, kept: Kept) -> bool:
    swap = journal.swap
    holder = claims.holder(host.journals.claim_path(swap.service, swap.machine))
    return holder is not None and holder.owner.pid == kept.pid


def begin(host: Host, services: Sequence[str]) -> int:
    """What this devswap was called with, on a terminal that is kept; shown here until its services answer.

    The exit code of the command, 0 where it goes on.
    """
    host.say("Ctrl-] leaves this terminal; devswap attach comes back to it")
    path = kept_terminal.start(host.state, sys.argv[1:])
    left = kept_terminal.attach(path, host.owner, until=services)
    if left.code is None:
        kept = kept_terminal.look(path)
        print(f"\n{how_to_go_on(of(host, kept) if kept else [], services)}")
    return left.code or 0


def how_to_go_on(journals: Sequence[Journal], services: Sequence[str]) -> str:
    """The last line; `journals` are those of the runs, empty where Ctrl-] was quicker than the takeover."""
    found = {journal.swap.service: journal for journal in journals}
    named = [found[name] for name in services if name in found]
    if len(named) < len(services):
        one, all_of_them = services[0], " ".join(services)
    else:
        one, all_of_them = named[0].called, together(named)
    names = " ".join(services)
    return f"{names} in the background; devswap attach {one} comes back, devswap restore {all_of_them} ends it"


def together(journals: Sequence[Journal]) -> str:
    """As Journal.called, for several: machines are named by how their names begin, where that is more than one."""
    names = " ".join(journal.swap.service for journal in journals)
    if all(journal.called == journal.swap.service for journal in journals):
        return names
    machines = {journal.swap.machine for journal in journals}
    return f"{names} --machine {machines.pop() if len(machines) == 1 else _beginning(machines)}"


def _beginning(machines: Iterable[str]) -> str:
    letters = takewhile(lambda column: len(set(column)) == 1, zip(*map(name_of, machines), strict=False))
    return "".join(column[0] for column in letters)
