"""In which way a swap runs development: by a unit, or in Apache; and whether production is kept from running."""

from __future__ import annotations

from devswap import development
from devswap.development import Command
from devswap.errors import NotWhole, UsageError
from devswap.journal import Journal, Swap
from devswap.machine import Machine
from devswap.shared import Shelf
from devswap.steps import apache
from devswap.steps.step import from_json


def command_of(swap: Swap) -> Command:
    told = swap.command
    more = tuple(told.get("on_terminal", ()))
    return Command(tuple(told["argv"]), dict(told["environment"]), simple=bool(told["simple"]), on_terminal=more)


def is_in_apache(swap: Swap) -> bool:
    """Whether Apache itself runs development: there is no command of ours then."""
    return not swap.command.get("argv")


def is_under_web_server(swap: Swap) -> bool:
    """Whether it was taken over with --apache, which holds for other runs and checkouts of it as well."""
    return swap.apache or bool(swap.deployment.get("hosted") and swap.command and is_in_apache(swap))


def require_terminal(journal: Journal) -> None:
    """Raise UsageError where there is none to run it on."""
    if is_in_apache(journal.swap):
        raise UsageError(
            f"Apache runs {journal.swap.service}, and has no terminal",
            hint=f"devswap restore {journal.called}, then check out without --apache",
        )


def is_held(machine: Machine, swap: Swap) -> bool:
    """Whether production is kept from running; after a restart of the machine it is not."""
    hosted = swap.deployment.get("hosted")
    if hosted and is_in_apache(swap):
        return apache.is_shown(machine, hosted["path"])
    return machine.exists(development.path(swap.unit))


def require_not_given_back(shelf: Shelf, journal: Journal) -> None:
    """Raise where a restore has come as far as production: what is left in the journal is there to be undone only.

    Its database is as before by now, and what was captured of it is gone. (A restore that found its machine stopped has
    undone nothing: there the swap can go on.)
    """
    swap, shared = journal.swap, [from_json(entry.step).shared for entry in journal.entries]
    kept = {record.name for record in shelf.held_by(journal.folder.name)}
    if swap.given_back or not kept.issuperset(filter(None, shared)):
        raise NotWhole(
            f"{swap.service} was given back, but not all that was changed for it",
            hint=f"devswap restore {journal.called} goes on",
        )
