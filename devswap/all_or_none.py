"""Several takeovers of which all come about or none: what was prepared together, and the way back from half of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from devswap import (
    coming_back,
    database_claims,
    hooks_of_swap,
    preparation,
    running,
    swap,
    takeover,
    traffic,
    transaction,
)
from devswap.discovery.units import Found
from devswap.errors import DevswapError, NotWhole, Untouched
from devswap.host import Host
from devswap.journal import Entry, Swap
from devswap.prepared import Prepared
from devswap.source import Checkout
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Step, from_json
from devswap.undisturbed import undisturbed
from devswap.wish import Makers, Wish


def prepared(host: Host, places: Sequence[Found], wish: Wish, makers: Makers) -> list[Prepared]:
    """All of them, or none is mounted any more; those that are not swapped yet first: they leave the fewest traces."""
    found: list[Prepared] = []
    makers = fetching_once(makers)
    try:
        for place in places:
            found.append(preparation.prepare(host, own(wish, place), place, makers))
            if len(places) > 1:
                _require_simple_switch(found[-1])
    except BaseException:
        with undisturbed(host):
            for one in reversed(found):
                preparation.abandon(host, one)
        raise
    found.sort(key=lambda one: one.replaces)
    names = frozenset(one.journal.folder.name for one in found)
    return _migrating_once([replace(one, keeps_before=not one.database_returns_first, together=names) for one in found])


def own(wish: Wish, place: Found) -> Wish:
    return replace(wish, service=place.service.name, machine=place.machine.address)


def fetching_once(makers: Makers) -> Makers:
    """A branch or a change that moves meanwhile must not give two services two checkouts."""
    known: dict[tuple[str, str, Any], Checkout] = {}

    def fetch(project: str, ref: str, **options: Any) -> Checkout:
        key = (project, ref, options.get("remotes"))
        if key not in known:
            known[key] = makers.fetch(project, ref, **options)
        return known[key]

    return replace(makers, fetch=fetch)


def _require_simple_switch(one: Prepared) -> None:
    if one.database_returns_first:
        service = one.journal.swap.service
        raise DevswapError(
            f"cannot switch {service} together with others: the database must be as production has it first",
            hint=f"devswap restore {service}, then try again",
        )


def _migrating_once(group: Sequence[Prepared]) -> list[Prepared]:
    """The first runs the migration; the others only hold what it has captured."""
    found, migrates = [], False
    for one in group:
        sync = one.sync
        if sync is not None and migrates:
            one = replace(one, sync=replace(sync, commands=()))
        migrates = migrates or bool(sync and sync.commands)
        found.append(one)
    return found


# --- the way back ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Before:
    """A swap as it was when its switch began."""

    swap: Swap
    entries: tuple[Entry, ...]
    stopped_at: float
    """time.monotonic() just before it was stopped."""


@contextmanager
def taking_over(host: Host, group: Sequence[Prepared]) -> Iterator[Callable[[Prepared], None]]:
    """What is given is told of each that is about to be taken over. Whatever goes wrong takes all of them back."""
    begun: dict[str, _Before] = {}

    def begin(one: Prepared) -> None:
        begun[one.journal.swap.service] = _Before(one.journal.swap, one.journal.entries, time.monotonic())

    try:
        yield begin
    except BaseException as error:
        with undisturbed(host):
            if isinstance(error, Untouched):
                begun.pop(error.service, None)
            what = "all of them" if len(group) > 1 else "what was there"
            host.say(f"{coming_back.reason(error)}: bringing {what} back")
            failed = [why for one in reversed(group) if (why := _back(host, one, begun)) is not None]
        if failed:
            raise failed[0] from error
        if isinstance(error, NotWhole):  # it is by now
            raise DevswapError(error.message, hint="type the same again") from error
        raise


def _back(host: Host, one: Prepared, begun: Mapping[str, _Before]) -> NotWhole | None:
    """What keeps one of them from being as it was; the others must not suffer from it."""
    service, machine = one.journal.swap.service, one.journal.swap.machine
    before, left = begun.get(service), host.journals.find(service, machine)
    try:
        if left is None:  # it was given back on the way (--restore-on-exit), or had not begun
            return None
        if one.replaces and before is None:
            preparation.abandon(host, one)
        elif one.keeps_before and one.replaces and before is not None:
            with coming_back.still_held(one.journal.called):
                _switch_back(host, one, before)
        else:
            restored = coming_back.bring_back(host, left)
            if before is not None:
                host.say(f"production's {service} is back: {restored.told}")
    except NotWhole as error:
        return error
    return None


def _switch_back(host: Host, one: Prepared, before: _Before) -> None:
    """To the checkout that the swap had, running if it ran in the background."""
    journal, was = one.journal, before.swap
    known = [from_json(entry.step) for entry in before.entries]
    with database_claims.held(host, journal, "checkout"), host.changing(seconds=None) as changed:
        cloud = changed.cloud(journal)
        traffic.take_out(changed, journal)
        transaction.withdraw(journal, cloud, _starts)
        transaction.withdraw(journal, cloud, lambda step: isinstance(step, SyncDatabase) and step not in known)
        journal.describe(**{name: getattr(was, name) for name in (*one.description, "mode")})
        transaction.apply(filter(_starts, known), journal, cloud)
        preparation.abandon(host, one)
    if was.mode == "foreground":
        host.say(f"{was.service} has {was.ref} again; devswap run {was.service} starts it")
        return
    with running.standing_by(host, was) as question:
        start = replace(takeover.start_again(host, journal, None, question), stopped_at=before.stopped_at)
        swap.detached(host, start)


def _starts(step: Step) -> bool:
    """Whether it is done anew with each start of a checkout."""
    return step.runs or hooks_of_swap.is_of_hooks(step)


def settle(host: Host, group: Sequence[Prepared]) -> None:
    """Nobody goes back to the checkouts before these any more."""
    for one in group:
        if one.replaces:
            with host.changing():
                outdated = replace(one, keeps_before=False).is_outdated
                transaction.withdraw(one.journal, host.cloud(one.journal), outdated)
