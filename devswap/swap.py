"""The use cases, in the words of the house: take a service over, run it again, give it back."""

from __future__ import annotations

import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devswap import development, fingerprint, locate, owners, preparation, running, systemd, transaction
from devswap.errors import DevswapError, MachineGone, NotWhole
from devswap.fingerprint import watched_from_json
from devswap.foreground import Ended
from devswap.host import Host
from devswap.journal import Journal
from devswap.preparation import MAKERS, Makers, Prepared, Wish
from devswap.pty import Terminal
from devswap.running import Start
from devswap.steps.database import SyncDatabase
from devswap.steps.step import from_json
from devswap.steps.unit import RunDevelopment
from devswap.watcher import Watcher

_SERVE_AGAIN_SECONDS = 60.0
_OTHERS = ("file /etc/", "packages in ", "unit file ", "unit enablement", "serving: was no")


@dataclass(frozen=True)
class Restored:
    """What `restore` proved for one service."""

    service: str
    machine: str
    identical: int
    facts: dict[str, str]
    changed_by_others: list[str]
    """What differs though no step of this swap is to blame, or by the user's own word."""
    held: list[str]
    """What other swaps have changed too, and still hold."""


@dataclass(frozen=True)
class Planned:
    """What `checkout` would do."""

    service: str
    machine: str
    ref: str
    commit: str
    subject: str
    steps: list[dict[str, str]]
    packages: list[str]


def plan(host: Host, wish: Wish, makers: Makers = MAKERS) -> Planned:
    """Everything that `checkout` does while production serves, and then nothing more: it is all taken away again."""
    prepared = preparation.prepare(host, wish, makers)
    try:
        swap, described = prepared.journal.swap, prepared.description
        mounted = [from_json(entry.step) for entry in prepared.journal.entries] if not prepared.replaces else []
        steps = [*mounted, *(prepared.switch_steps() if prepared.replaces else prepared.steps(""))]
        return Planned(
            service=swap.service,
            machine=swap.machine,
            ref=described["ref"],
            commit=described["commit"],
            subject=described["subject"],
            steps=[dict(zip(("do", "undo"), step.describe(), strict=True)) for step in steps],
            packages=[
                f"{each.name} {each.version} from the {each.origin}: {each.why}" for each in prepared.overlay.installed
            ],
        )
    finally:
        preparation.abandon(host, prepared)


def checkout(host: Host, wish: Wish, makers: Makers = MAKERS) -> Ended | None:
    """Take a service over with a checkout; returns when it serves (detached) or when its foreground run ended.

    Whatever fails before production is stopped leaves it untouched; what fails afterwards is rolled back.
    """
    prepared = preparation.prepare(host, wish, makers)
    if wish.detach:
        with _or_back(host, prepared.journal):
            start = _take_over(host, prepared, None)
            running.detached(host, start, seconds=host.settings.wait)
        return None
    journal = prepared.journal
    with _given_back(host, journal, wanted=wish.restore_on_exit), _terminal(host, journal) as terminal:
        with _or_back(host, journal):
            start = _take_over(host, prepared, terminal)
        return _foreground(host, start, terminal)


def run(
    host: Host,
    service: str,
    machine: str | None,
    *,
    detach: bool,
    restore_on_exit: bool = False,
    take_over: bool = False,
) -> Ended | None:
    """Start the swapped service again, in the foreground unless `detach`; a run under way is ended first.

    Raises NotWhole if it does not serve: the swap stays.
    """
    journal = locate.swap(host, service, machine)
    locate.require_owner(host, journal, take_over=take_over)
    if journal.swap.mode == "preparing":
        raise NotWhole(f"the checkout of {service} was interrupted", hint=f"devswap restore {service}")
    _end_owner(host, journal, take_over=take_over)
    preparation.refresh(host, journal)
    if detach:
        _detached_again(host, journal)
        return None
    with _given_back(host, journal, wanted=restore_on_exit), _terminal(host, journal) as terminal:
        with _still_held(service):
            start = _start_again(host, journal, terminal)
        return _foreground(host, start, terminal)


def _detached_again(host: Host, journal: Journal) -> None:
    with _still_held(journal.swap.service):
        running.detached(host, _start_again(host, journal, None), seconds=host.settings.wait)


@contextmanager
def _still_held(service: str) -> Iterator[None]:
    """What goes wrong inside leaves the swap as it is, and production is not whole meanwhile."""
    try:
        yield
    except NotWhole:
        raise
    except (DevswapError, OSError) as error:
        said = error.message if isinstance(error, DevswapError) else str(error)
        raise NotWhole(
            said, hint=f"mend it and devswap run {service}, or devswap restore {service} gives production back"
        ) from error


@contextmanager
def _given_back(host: Host, journal: Journal, *, wanted: bool) -> Iterator[None]:
    """Where that is `wanted`, production comes back when the run ends, even if devswap is killed."""
    if not wanted:
        yield
        return
    watcher = Watcher(journal.swap.service, journal.swap.machine)
    try:
        yield
    finally:
        if host.journals.find(journal.swap.service, journal.swap.machine):
            restored = restore(host, journal)
            host.say(f"production is back: {restored.identical} facts identical")
        watcher.dismiss()


def _foreground(host: Host, start: Start, terminal: Terminal) -> Ended:
    """A kill or a lost terminal ends the run as Ctrl-C does; the swap stays."""
    try:
        with _still_held(start.journal.swap.service):
            return running.foreground(host, start, terminal)
    except KeyboardInterrupt:
        return Ended(by_user=True)


def restore(host: Host, journal: Journal, *, take_over: bool = False, kept: Collection[str] = ()) -> Restored:
    """Bring production back and prove it by its fingerprint; needs the journal and the machine, nothing else.

    A devswap of the same user that still runs the service is ended first. The kinds of step in `kept` are not undone:
    what they changed stays, by the user's own word. Raises NotWhole with what is left, or with
    what differs.
    """
    _end_owner(host, journal, take_over=take_over)
    with host.journals.changing(), _undisturbed(host):
        current = host.journals.find(journal.swap.service, journal.swap.machine)
        if current is None:  # another restore, or the one we ended, was quicker
            return Restored(journal.swap.service, journal.swap.machine, 0, {}, [], [])
        with transaction.whole_or_said(current):
            return _restore(host, current, kept)


def _end_owner(host: Host, journal: Journal, *, take_over: bool) -> None:
    owner = journal.swap.owner
    if owner.pid == host.owner.pid or journal.swap.mode == "detached" or not owners.lives(owner):
        return  # nobody is in the way of a restore, whoever it was
    locate.require_owner(host, journal, take_over=take_over)
    host.say(f"ending the devswap of {owner.user} on {owner.terminal or owner.host} (process {owner.pid})")
    owners.end(owner)


def _restore(host: Host, journal: Journal, kept: Collection[str]) -> Restored:
    swap, cloud = journal.swap, host.cloud(journal)
    transaction.rollback(journal, cloud, kept=kept)
    watched = watched_from_json(swap.watched)
    held = list(transaction.held_by_others(journal, cloud))
    try:
        after = fingerprint.take(
            watched, host.machine, seconds=0.0 if swap.mode == "preparing" else _SERVE_AGAIN_SECONDS
        )
    except MachineGone as error:
        host.say(f"{error.message}: what was changed in it went with it")
        journal.remove()
        return Restored(swap.service, swap.machine, 0, {}, [], held)
    unseen = held or SyncDatabase.kind in kept or not any(name.startswith("database ") for name in swap.fingerprint)
    before, after = (_without_database(facts) if unseen else facts for facts in (swap.fingerprint, after))
    ours, others = _sorted_differences(before, after)
    if ours and not kept:
        raise NotWhole(
            f"{swap.service} is back, but not as it was:\n  " + "\n  ".join(ours),
            hint=f"mend it, then devswap restore {swap.service} compares again",
        )
    journal.remove()
    identical = sum(before[name] == after.get(name) for name in before)
    return Restored(swap.service, swap.machine, identical, after, [*ours, *others], held)


def _without_database(facts: dict[str, str]) -> dict[str, str]:
    """A database that another swap holds, or held when this one began, is that swap's to compare."""
    return {name: value for name, value in facts.items() if not name.startswith("database ")}


def _take_over(host: Host, prepared: Prepared, terminal: Terminal | None) -> Start:
    """From production serving to development allowed to start: the outage begins here."""
    journal = prepared.journal
    if prepared.replaces:
        _end_owner(host, journal, take_over=True)  # whether that may be was decided when the switch was prepared
    with host.journals.changing():
        mode = "foreground" if terminal else "detached"
        host.say(f"stopping {journal.swap.service} in {journal.swap.machine}")
        stopped_at = time.monotonic()
        if prepared.replaces:
            _switch(host, prepared)
        else:
            journal.describe(mode=mode, **prepared.description)
            steps = prepared.steps(running.drop_in_text(journal.swap, terminal))
            transaction.apply(steps, journal, host.cloud(journal))
        running.write_drop_in(host.machine(journal.swap.machine), journal.swap, terminal)
        journal.describe(mode=mode)
    return Start(journal, stopped_at)


def _switch(host: Host, prepared: Prepared) -> None:
    """Development of the first checkout makes way for the second; what was captured of production stays."""
    journal, cloud = prepared.journal, host.cloud(prepared.journal)
    transaction.withdraw(journal, cloud, lambda step: isinstance(step, RunDevelopment))
    if prepared.database_returns_first:
        transaction.withdraw(journal, cloud, lambda step: isinstance(step, SyncDatabase))
    journal.describe(**prepared.description)
    transaction.apply(prepared.switch_steps(), journal, cloud)
    transaction.withdraw(journal, cloud, prepared.is_outdated)


def _start_again(host: Host, journal: Journal, terminal: Terminal | None) -> Start:
    machine = host.machine(journal.swap.machine)
    with host.journals.changing():
        stopped_at = time.monotonic()
        systemd.stop(machine, journal.swap.unit)
        running.write_drop_in(machine, journal.swap, terminal)
        RunDevelopment(journal.swap.machine, service=journal.swap.service, unit=journal.swap.unit).do(
            host.cloud(journal)
        )
        journal.describe(mode="foreground" if terminal else "detached", owner=host.owner)
    return Start(journal, stopped_at)


def _sorted_differences(before: dict[str, str], after: dict[str, str]) -> tuple[list[str], list[str]]:
    """(what devswap is answerable for, what somebody else changed): no step ever touches production's own files."""
    lines = fingerprint.differences(before, after)
    theirs = [line for line in lines if line.startswith(_OTHERS) and development.NAME not in line]
    return [line for line in lines if line not in theirs], theirs


@contextmanager
def _or_back(host: Host, journal: Journal) -> Iterator[None]:
    """Whatever goes wrong inside, an interrupt included: production comes back before anybody hears of it."""
    try:
        yield
    except NotWhole:
        raise
    except BaseException as error:
        host.say(f"{_reason(error)}: bringing production back")
        restored = restore(host, journal)
        host.say(f"production is back: {restored.identical} facts identical")
        raise


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return error.message.partition("\n")[0] if isinstance(error, DevswapError) else type(error).__name__


@contextmanager
def _undisturbed(host: Host) -> Iterator[None]:
    """A second Ctrl-C must not stop the way back; it is said instead."""

    def refuse(*_: object) -> None:
        host.say("production is coming back; this cannot be interrupted")

    before = {number: signal.signal(number, refuse) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _terminal(host: Host, journal: Journal) -> Iterator[Terminal]:
    terminal = host.machine(journal.swap.machine).open_terminal()
    try:
        yield terminal
    finally:
        terminal.close()
