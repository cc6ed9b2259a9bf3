"""Several services of one project at once: one checkout, one migration, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial

from devswap import (
    all_or_none,
    claims,
    coming_back,
    database_claims,
    edits,
    meant,
    preparation,
    rerun,
    running,
    several_places,
    swap,
    takeover,
    way,
)
from devswap.discovery.units import Found
from devswap.errors import UsageError
from devswap.foreground import Ended
from devswap.host import Host
from devswap.journal import Journal
from devswap.prepared import Prepared
from devswap.several_runs import Endings, Runs
from devswap.swap import Planned
from devswap.tuning import UNCHANGED, Changes
from devswap.wish import MAKERS, Makers, Wish


def checkout(host: Host, services: Sequence[str], wish: Wish, makers: Makers = MAKERS) -> Endings | None:
    """As swap.checkout, for `services` in the place of the wish's own.

    All of production serves until everything is prepared; then one after the other is taken over. Whatever fails
    takes all of it back: a service that was swapped before has the checkout then that it had.
    """
    places = several_places.places(host, services, wish.machine)
    wish = meant.settled(host, wish, *places)
    with _prepared(host, places, wish, makers) as group:
        if wish.detach or wish.apache:
            _detached_first(host, group)
            return None
        return _foreground_first(host, group, wish)


@contextmanager
def _prepared(host: Host, places: Sequence[Found], wish: Wish, makers: Makers) -> Iterator[list[Prepared]]:
    """All of them, with the claims on them; what there is to know of them is said."""
    meant.require_sense(host, wish, makers, *places)
    with ExitStack() as claimed:
        for place in sorted(places, key=lambda place: place.service.name):
            where = (place.service.name, place.machine.address)
            claimed.enter_context(claims.held(host, *where, "checkout", take_over=bool(wish.take_over)))
            claimed.enter_context(coming_back.cleaned_up(host, *where))
        group = all_or_none.prepared(host, places, wish, makers)
        preparation.show(host, *group)
        for one in group:
            edits.offer(host, one.journal.swap)
        yield group


def checkout_one(host: Host, wish: Wish, makers: Makers = MAKERS) -> Ended | None:
    """As swap.checkout; where another checkout of what runs in the background fails, the one before it is back."""
    place = meant.locate_place(host, wish)
    wish = meant.settled(host, wish, place)
    if wish.detach or wish.apache or wish.kept:
        wish = all_or_none.own(wish, place)
        if host.journals.find(wish.service, place.machine.address) is not None:
            if wish.kept:
                return _kept_again(host, place, wish, makers)
            checkout(host, [wish.service], wish, makers)
            return None
    return swap.checkout(host, wish, makers, place=place)


def _kept_again(host: Host, place: Found, wish: Wish, makers: Makers) -> Ended:
    with _prepared(host, [place], wish, makers) as group:
        with all_or_none.taking_over(host, group) as begin:
            begin(group[0])
            ended = swap.foreground_first(host, group[0], wish, nullcontext)
        all_or_none.settle(host, group)
        return ended


def planned(host: Host, services: Sequence[str], wish: Wish, makers: Makers = MAKERS) -> list[Planned]:
    """What `checkout` would do for each of them."""
    makers = all_or_none.fetching_once(makers)
    return [
        swap.plan(host, all_or_none.own(wish, place), makers)
        for place in several_places.places(host, services, wish.machine)
    ]


def run(
    host: Host,
    services: Sequence[str],
    machine: str | None,
    *,
    detach: bool,
    foreground: bool = False,
    restore_on_exit: bool = False,
    take_over: bool = False,
    changes: Changes = UNCHANGED,
    kept: bool = False,
) -> Endings | None:
    """As swap.run, for several: in the background one after the other, or all on this terminal."""
    several_places.require_distinct(services)
    journals = [several_places.swapped(host, name, machine) for name in services]
    swaps = {journal.swap.service: journal.swap for journal in journals}
    found = {name: each.machine for name, each in swaps.items()}
    here = foreground or restore_on_exit
    if detach or (all(map(way.is_under_web_server, swaps.values())) and not here):
        for name, address in found.items():
            swap.run(host, name, address, detach=True, take_over=take_over, changes=changes)
        return None
    database_claims.wait_for_others(host, "run", *journals)
    with ExitStack() as until_ended:
        for name in sorted(found):
            until_ended.enter_context(claims.held(host, name, found[name], "run", take_over=take_over))
        wanted = [
            swap.ready(host, name, address, take_over=take_over, changes=changes) for name, address in found.items()
        ]
        journals = [journal for journal, _ in wanted]
        _require_terminals(journals, named=here)
        if restore_on_exit:
            for journal in journals:
                until_ended.enter_context(coming_back.given_back(host, journal))
        with coming_back.still_held(" ".join(services)), ExitStack() as begun:
            runs = Runs(host, until_ended, begun)
            for journal, tuned in wanted:
                rerun.refresh(host, journal)
                if tuned is not None:
                    journal.describe(tuning=tuned.as_json())
            for journal in journals:
                runs.begin(journal, partial(takeover.start_again, host, journal))
            all_begun = begun.pop_all()
            if kept:
                return runs.show(all_begun, within=host.settings.wait)
        return runs.show(all_begun)


def _require_terminals(journals: Sequence[Journal], *, named: bool) -> None:
    for journal in journals:
        if named:
            way.require_terminal(journal)
        elif way.is_under_web_server(journal.swap):
            raise UsageError(f"a web server runs {journal.swap.service}", hint=f"devswap run {journal.called}")


def _detached_first(host: Host, group: Sequence[Prepared]) -> None:
    with all_or_none.taking_over(host, group) as begin:
        for one in group:
            with running.standing_by(host, one.journal.swap) as question:
                begin(one)
                start = takeover.take_over(host, one, None, question)
                swap.detached(host, start)
    all_or_none.settle(host, group)


def _foreground_first(host: Host, group: Sequence[Prepared], wish: Wish) -> Endings:
    with ExitStack() as until_ended:
        with all_or_none.taking_over(host, group) as begin:
            if wish.restore_on_exit:
                for one in group:
                    until_ended.enter_context(coming_back.given_back(host, one.journal))
            # Within the other: development must have ended before production starts.
            with ExitStack() as begun:
                runs = Runs(host, until_ended, begun)
                for one in group:
                    begin(one)
                    runs.begin(one.journal, partial(takeover.take_over, host, one))
                kept = begun.pop_all()
            if wish.kept:
                ended = runs.show(kept, within=host.settings.wait)
        with kept:
            all_or_none.settle(host, group)
            return ended if wish.kept else runs.show(kept)
