"""The use cases, in the words of the house: take a service over, run it again, give it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from devswap import (
    changing,
    claims,
    coming_back,
    database_claims,
    edits,
    half_loaded,
    hooks_of_swap,
    locate,
    meant,
    newest,
    preparation,
    rerun,
    running,
    takeover,
    traffic,
    transaction,
    tuning_of_swap,
    way,
)
from devswap.discovery.units import Found
from devswap.errors import Busy, DevswapError, NotServing
from devswap.foreground import Ended
from devswap.host import Host
from devswap.journal import Journal
from devswap.prepared import Prepared
from devswap.probe import Question
from devswap.proof import Restored
from devswap.pty import Terminal
from devswap.running import Start
from devswap.shared import Shelf
from devswap.steps.step import NOTHING_KEPT, Kept, from_json
from devswap.tuning import DEBUGPY, UNCHANGED, Changes, Tuning
from devswap.undisturbed import undisturbed
from devswap.wish import MAKERS, Makers, Wish


@dataclass(frozen=True)
class Planned:
    """What `checkout` would do."""

    service: str
    machine: str
    ref: str
    commit: str
    subject: str
    review: dict[str, Any] | None
    """The Gerrit change, if it is one: see journal.Swap."""
    libraries: list[dict[str, Any]]
    steps: list[dict[str, str]]
    packages: list[str]
    installs: list[dict[str, str | None]]
    """The same for scripts: see overlay_table.py."""


def plan(host: Host, wish: Wish, makers: Makers = MAKERS) -> Planned:
    """Everything that `checkout` does while production serves, and then nothing more: it is all taken away again."""
    place = meant.locate_place(host, wish)
    wish = meant.settled(host, wish, place)
    with claims.held_if_free(host, wish.service, place.machine.address, "plan"):
        prepared = preparation.prepare(host, wish, place, makers)
        try:
            return _planned(host, prepared)
        finally:
            preparation.abandon(host, prepared)


def _planned(host: Host, prepared: Prepared) -> Planned:
    swap, described = prepared.journal.swap, prepared.description
    mounted = [from_json(entry.step) for entry in prepared.journal.entries] if not prepared.replaces else []
    own = prepared.switch_steps() if prepared.replaces else prepared.steps("")
    steps = [*mounted, *prepared.patient, *own]
    steps += traffic.planned(prepared.leaving, host, narrow=bool(described["traffic"]["narrow"]))
    return Planned(
        service=swap.service,
        machine=swap.machine,
        ref=described["ref"],
        commit=described["commit"],
        subject=described["subject"],
        review=described["review"],
        libraries=described["libraries"],
        steps=[dict(zip(("do", "undo"), step.describe(), strict=True)) for step in steps],
        packages=[
            f"{each.name} {each.version} from the {each.origin}: {each.why}" for each in prepared.overlay.installed
        ],
        installs=described["overlay"]["packages"],
    )


def checkout(host: Host, wish: Wish, makers: Makers = MAKERS, *, place: Found | None = None) -> Ended | None:
    """Take a service over with a checkout; returns when it serves (detached) or when its foreground run ended.

    `place` is what `wish` means, where it was looked for already. Whatever fails before production is stopped leaves it
    untouched; what fails afterwards is rolled back.
    """
    place = place or meant.locate_place(host, wish)
    wish = meant.settled(host, wish, place)
    meant.require_sense(host, wish, makers, place)
    with (
        claims.held(host, wish.service, place.machine.address, "checkout", take_over=bool(wish.take_over)),
        coming_back.cleaned_up(host, wish.service, place.machine.address),
    ):
        prepared = preparation.prepare(host, wish, place, makers)
        preparation.show(host, prepared)
        edits.offer(host, prepared.journal.swap)
        if not (wish.detach or wish.apache):
            return foreground_first(host, prepared, wish, partial(coming_back.or_back, host, prepared.journal))
        _detached_first(host, prepared)
        return None


def _detached_first(host: Host, prepared: Prepared) -> None:
    with coming_back.or_back(host, prepared.journal), running.standing_by(host, prepared.journal.swap) as question:
        start = takeover.take_over(host, prepared, None, question)
        detached(host, start)


def foreground_first(
    host: Host, prepared: Prepared, wish: Wish, or_back: Callable[[], AbstractContextManager[None]]
) -> Ended:
    """Take it over and run it on this terminal until it ends. Within `or_back` nothing may go wrong.

    That is the takeover, and for a terminal that is kept all of it: who waits for it may have gone.
    """
    journal = prepared.journal
    with ExitStack() as until_ended:
        with or_back():
            if wish.restore_on_exit:
                until_ended.enter_context(coming_back.given_back(host, journal))
            terminal = until_ended.enter_context(terminal_of(host, journal))
            question = until_ended.enter_context(running.standing_by(host, journal.swap))
            start = takeover.take_over(host, prepared, terminal, question)
            if wish.kept:
                return _foreground(host, start, terminal, reload=wish.reload, within=host.settings.wait)
        return _foreground(host, start, terminal, reload=wish.reload)


def run(
    host: Host,
    service: str,
    machine: str | None,
    *,
    detach: bool,
    foreground: bool = False,
    restore_on_exit: bool = False,
    take_over: bool = False,
    changes: Changes = UNCHANGED,
    reload: bool = False,
    kept: bool = False,
) -> Ended | None:
    """Start the swapped service again, as it was taken over unless a way is named; a run under way is ended first.

    That is the foreground but for --apache. Raises NotWhole if it does not serve, `kept` on a terminal or in the
    background: the swap stays.
    """
    here = foreground or restore_on_exit or reload
    found = locate.swap(host, service, machine)
    database_claims.wait_for_others(host, "run", found)
    with claims.held(host, service, found.swap.machine, "run", take_over=take_over):
        journal, tuned = ready(host, service, found.swap.machine, take_over=take_over, changes=changes)
        if here:
            way.require_terminal(journal)
        with ExitStack() as until_ended:
            if restore_on_exit:
                until_ended.enter_context(coming_back.given_back(host, journal))
            with coming_back.still_held(journal.called):
                rerun.refresh(host, journal)
                question = until_ended.enter_context(running.standing_by(host, journal.swap))
                if tuned is not None:
                    journal.describe(tuning=tuned.as_json())
                if detach or (way.is_under_web_server(journal.swap) and not here):
                    _detached_again(host, journal, question)
                    return None
                terminal = until_ended.enter_context(terminal_of(host, journal))
                start = takeover.start_again(host, journal, terminal, question)
                if kept:
                    return _foreground(host, start, terminal, reload=reload, within=host.settings.wait)
            return _foreground(host, start, terminal, reload=reload)


def ready(
    host: Host, service: str, machine: str, *, take_over: bool, changes: Changes
) -> tuple[Journal, Tuning | None]:
    """The swap that is to run again, and how it shall run where that is to change; the caller has the claim.

    Raises DevswapError for what cannot be meant, before anything is touched: what runs goes on.
    """
    journal = locate.swap(host, service, machine)
    locate.require_owner(host, journal, take_over=take_over)
    if changes != UNCHANGED:
        way.require_terminal(journal)
    transaction.require_complete(journal)
    way.require_not_given_back(Shelf(host.state / "shared"), journal)
    half_loaded.require_none(host, journal)
    newest.ask_all(host.state, journal.swap)
    for line in newest.newer(host.state, journal.swap):
        host.say(line)
    return journal, tuning_of_swap.tuned_again(host, journal.swap, changes) if changes != UNCHANGED else None


def _detached_again(host: Host, journal: Journal, question: Question | None) -> None:
    """Whatever goes wrong, its peers get the requests."""
    try:
        detached(host, takeover.start_again(host, journal, None, question))
    except BaseException:
        with changing.traffic(host, journal, "run") as changed:
            traffic.take_out(changed, journal)
        raise


def detached(host: Host, start: Start) -> None:
    """Development runs in the background, answers, and has the requests that HAProxy has for it."""

    def in_rotation() -> None:
        with changing.traffic(host, start.journal, "run") as changed:
            _put_in(changed, start.journal, foreground=False)

    running.detached(host, start, seconds=host.settings.wait, serving=in_rotation)
    hooks_of_swap.started(host, start.journal.swap)


def _foreground(host: Host, start: Start, terminal: Terminal, *, reload: bool, within: float | None = None) -> Ended:
    """A kill or a lost terminal ends the run as Ctrl-C does; the swap stays.

    Where it must answer `within` so many seconds, raises NotServing if it does not, and KeyboardInterrupt if the person
    has ended it before.
    """
    journal, answered = start.journal, list[bool]()

    def serving(say: Callable[[str], None]) -> None:
        answered.append(True)
        put_in_while_shown(host, journal, say)

    try:
        ended = running.foreground(host, start, terminal, reload=reload, within=within, serving=serving)
    except KeyboardInterrupt:
        ended = Ended(by_user=True)
    except NotServing:
        raise
    except Exception:
        with coming_back.still_held(journal.called):
            raise
        raise
    finally:
        with coming_back.still_held(journal.called), changing.traffic(host, journal, "run") as changed:
            traffic.take_out(changed, journal)
    if ended.by_user and not answered and running.must_answer(start, within):
        raise KeyboardInterrupt
    return ended


def _put_in(changed: Host, journal: Journal, *, foreground: bool) -> None:
    """Development answers, and gets the requests that HAProxy has for it."""
    wanted = journal.swap.traffic.get("breakpoints")
    stops = foreground or Tuning.read(journal.swap.tuning).debugger == DEBUGPY
    traffic.put_in(changed, journal, patient=stops if wanted is None else bool(wanted))


def put_in_while_shown(host: Host, journal: Journal, say: Callable[[str], None]) -> None:
    """Nothing that goes wrong with HAProxy ends a run on a terminal: it is said there.

    Raises Busy where a database must be waited for, with nothing done: the terminal goes on meanwhile.
    """
    host = replace(host, say=say)
    try:
        with changing.traffic_if_free(host, journal, "run") as changed:
            _put_in(changed, journal, foreground=True)
        hooks_of_swap.started(host, journal.swap)
    except Busy:
        raise
    except DevswapError as error:
        say(f"{error.message}: it gets no requests through HAProxy")


def restore(host: Host, journal: Journal, *, take_over: bool = False, kept: Kept = NOTHING_KEPT) -> Restored:
    """Bring production back and prove it by its fingerprint; needs the journal and the machine, nothing else.

    A devswap of the same user that still works on the swap is ended first; another restore is waited for. Raises
    NotWhole with what is left or with what differs.
    """
    swap = journal.swap
    with transaction.known_or_said(journal):
        database_claims.wait_for_others(host, claims.RESTORE, journal)
        with (
            claims.held(host, swap.service, swap.machine, claims.RESTORE, take_over=take_over),
            undisturbed(host),
        ):
            current = host.journals.find(swap.service, swap.machine)
            if current is None:  # another restore, or the one we ended, was quicker
                return Restored(swap.service, swap.machine, 0, {}, [], [])
            return coming_back.bring_back(host, current, kept)


@contextmanager
def terminal_of(host: Host, journal: Journal) -> Iterator[Terminal]:
    terminal = host.machine(journal.swap.machine).open_terminal()
    try:
        yield terminal
    finally:
        terminal.close()
