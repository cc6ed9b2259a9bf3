"""Pushes steps and pops them: the heart of the promise that production comes back."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any, NoReturn

from devswap import owed, way_back
from devswap.errors import DevswapError, MachineGone, NotWhole, Postponed, Unrecognised
from devswap.journal import Entry, Journal
from devswap.shared import Record, Shelf
from devswap.steps import (  # noqa: F401 - all that a journal may name
    apache,
    beside,
    database,
    file,
    hook,
    mount,
    patience,
    sqlite,
    unit,
    values,
)
from devswap.steps.step import Cloud, Step, from_json, shell


class _Unnoted(Exception):
    """What is undone could not be noted."""

    def __init__(self, cause: OSError) -> None:
        self.cause = cause


def apply(steps: Iterable[Step], journal: Journal, cloud: Cloud) -> None:
    """Do each step once what undoes it is on disk. A failing step is left to `rollback`, its entry included.

    Here and in what follows the caller holds the claims of the databases that are worked on, and of what other swaps
    touch as well the host's lock.
    """
    for step in steps:
        with _aside(step, cloud):
            journal.push(Entry(step.as_json(), _capture(step, journal, cloud)))
            way_back.write(journal, cloud)
            step.do(cloud)


def repeat(journal: Journal, cloud: Cloud) -> None:
    """Do the journal's steps again without capturing: a restarted machine has lost what lies in its /run."""
    for entry in journal.entries:
        step = from_json(entry.step)
        if not step.outlives_restart:
            step.do(cloud)


def rollback(journal: Journal, cloud: Cloud) -> None:
    """Undo every step, last first, until the journal is empty; what the cloud's `kept` names stands as it is.

    Raises NotWhole at the first undo that fails; its entry stays, and the next rollback goes on from there.
    """
    _foresee(journal, cloud)
    postponed = withdraw(journal, cloud, lambda step: True)  # noqa: ARG005
    # A devswap that was killed between joining and its own entry is a holder all the same.
    waiting = {step.shared for step in (_read(journal, entry) for entry in journal.entries)}
    for record in list(Shelf(cloud.shared).held_by(journal.folder.name)):
        if record.name in waiting:
            continue
        try:
            step = from_json(record.step)
            with _guarded(journal, step, cloud.moot), _aside(step, cloud):
                _leave(record, journal, cloud)
        except _Unnoted as error:
            _say_unnoted(journal, error.cause)
    _settle(journal, cloud)
    if postponed is not None:
        step, cause = postponed
        with _guarded(journal, step):
            raise cause


def _foresee(journal: Journal, cloud: Cloud) -> None:
    """Nothing is stopped for a way back that is known to end half way."""
    for entry in reversed(journal.entries):
        step, place, captured = _read(journal, entry), cloud, entry.captured
        if step.kind in cloud.kept.kinds:
            continue
        if step.shared is not None:
            record = Shelf(cloud.shared).find(step.shared)
            others = record is not None and record.holders != (journal.folder.name,)
            if record is None or (others and not step.at_once):
                continue
            step, captured = from_json(record.step), record.captured
            place = replace(cloud, vault=Shelf(cloud.shared).vault(record.name))
        with _guarded(journal, step), _aside(step, cloud):
            step.foresee(place, captured)


def _aside(step: Step, cloud: Cloud) -> AbstractContextManager[None]:
    """Others may change the host meanwhile. Not for what is short: it would wait for them to have the lock again."""
    return cloud.aside() if step.takes_long else nullcontext()


def _settle(journal: Journal, cloud: Cloud) -> None:
    """What else was stopped on the way must run again before anybody hears that production is whole."""
    with whole_or_said(journal):
        wrong = owed.settle(cloud)
    if wrong:
        raise NotWhole(
            f"{journal.swap.service} is back, but not all that was stopped for it:\n  " + "\n  ".join(wrong),
            hint=f"devswap restore {journal.called} tries again",
        )


def is_complete(journal: Journal) -> bool:
    """Whether production is held and development may run: the swap is neither half made nor half undone."""
    steps = [Step.known.get(entry.step["kind"], Step) for entry in journal.entries]
    held, runs = any(step.holds for step in steps), any(step.runs for step in steps)
    return journal.swap.mode != "preparing" and held and runs


def require_complete(journal: Journal) -> None:
    """Raise unless the journal holds production and lets development run: only then can either be started again."""
    if not is_complete(journal):
        service = journal.swap.service
        raise NotWhole(
            f"the swap of {service} is not complete: it was interrupted", hint=f"devswap restore {journal.called}"
        )


def held_by_others(journal: Journal, cloud: Cloud) -> Iterator[str]:
    """What this swap had changed and other swaps still hold: its state is theirs to put back."""
    for name in dict.fromkeys(journal.swap.shares):
        if Shelf(cloud.shared).find(name) is not None:
            yield name


def withdraw(journal: Journal, cloud: Cloud, chosen: Callable[[Step], bool]) -> tuple[Step, DevswapError] | None:
    """Undo the `chosen` steps, last first, and leave the others done: a switch of checkouts replaces its mounts.

    Which of them must wait, if so, and why: it stays in the journal.
    """
    unwritten: OSError | None = None
    postponed: tuple[Step, DevswapError] | None = None
    for entry in reversed(journal.entries):
        step = _read(journal, entry)
        if not chosen(step):
            continue
        try:
            with _guarded(journal, step, cloud.moot), _aside(step, cloud):
                _undo(step, entry, journal, cloud)
        except _Unnoted as error:
            unwritten = error.cause
        except Postponed as error:
            cloud.say(error.message)
            postponed = step, error.cause
            with suppress(OSError):  # a full disk: it only tells `run` that there is nothing to run any more
                journal.describe(given_back=True)
        if unwritten is not None or postponed is not None:
            continue  # an entry that is kept keeps those below it: undone once more, they follow it in their order
        try:
            journal.drop(entry)
            way_back.write(journal, cloud)
        except OSError as error:  # a full disk must not keep production stopped: what is undone may be undone twice
            unwritten = error
    if unwritten is not None:
        _say_unnoted(journal, unwritten)
    return postponed


def _say_unnoted(journal: Journal, error: OSError) -> NoReturn:
    raise NotWhole(
        f"cannot note in {journal.folder.parent.parent} what is undone of {journal.swap.service}: {error}",
        hint=f"{_mend(error)}, then devswap restore {journal.called} goes on",
    ) from error


def files(journal: Journal, cloud: Cloud) -> set[tuple[str, str]]:
    """(machine, path) of the files that the swap has changed and will put back."""
    with whole_or_said(journal):
        entries = [entry.step for entry in journal.entries]
        shared = [record.step for record in Shelf(cloud.shared).held_by(journal.folder.name)]
        steps = [from_json(step) for step in (*entries, *shared)]
        return {(step.on, path) for step in steps for path in step.files}


def _read(journal: Journal, entry: Entry) -> Step:
    with whole_or_said(journal):
        return from_json(entry.step)


@contextmanager
def whole_or_said(journal: Journal) -> Iterator[None]:
    """Whatever else goes wrong on the way back (a full disk, a fact that cannot be asked): production is not whole."""
    try:
        yield
    except NotWhole:
        raise
    except Exception as error:
        _say_not_whole(journal, error)


@contextmanager
def known_or_said(journal: Journal) -> Iterator[None]:
    """As `whole_or_said`, but for a refusal that is told as such: nothing has begun then, and what runs goes on."""
    try:
        yield
    except DevswapError:
        raise
    except Exception as error:
        _say_not_whole(journal, error)


def _say_not_whole(journal: Journal, error: Exception) -> NoReturn:
    again = f"devswap restore {journal.called} goes on"
    known = isinstance(error, DevswapError | OSError)
    mend = (error.hint if isinstance(error, DevswapError) else None) or "mend that"
    raise NotWhole(
        f"cannot give {journal.swap.service} back to the end: {error if known else repr(error)}",
        hint=f"{mend}, then {again}" if known else f"{again}; {_by_hand(journal)}",
    ) from error


def _capture(step: Step, journal: Journal, cloud: Cloud) -> object:
    """The step's own capture, or the name of the one that all who share it have."""
    if step.shared is None:
        return step.capture(cloud)
    shelf, swap = Shelf(cloud.shared), journal.folder.name
    record = shelf.find(step.shared)
    if record is not None:
        shelf.join(record, swap)
    else:
        captured = step.capture(replace(cloud, vault=shelf.vault(step.shared)))
        shelf.keep(Record(step.shared, (swap,), step.as_json(), captured))
    return {"shared": step.shared}


def _undo(step: Step, entry: Entry, journal: Journal, cloud: Cloud) -> None:
    if step.shared is None:
        _end(step, cloud, entry.captured)
        return
    if step.kind not in cloud.kept.kinds:  # whoever leaves it as it is may be unable to reach it at all
        with suppress(MachineGone):
            step.leave(cloud)
    record = Shelf(cloud.shared).find(step.shared)
    if record is not None:
        _leave(record, journal, cloud)


def _leave(record: Record, journal: Journal, cloud: Cloud) -> None:
    """The last holder undoes; for the others it stays as it is."""
    swap, shelf = journal.folder.name, Shelf(cloud.shared)
    others = [holder for holder in record.holders if holder != swap]
    step, place = from_json(record.step), replace(cloud, vault=shelf.vault(record.name))
    if others:
        step.hand_on(place, record.captured, others)
    else:
        _end(step, place, record.captured)
    try:
        shelf.leave(record, swap)
    except OSError as error:
        raise _Unnoted(error) from error


def _end(step: Step, cloud: Cloud, captured: Any) -> None:
    (step.keep if step.kind in cloud.kept.kinds else step.undo)(cloud, captured)


@contextmanager
def _guarded(journal: Journal, step: Step, moot: list[str] | None = None) -> Iterator[None]:
    """Whatever goes wrong in an undo, a fault of ours included, production is not whole.

    What went with its machine is noted in `moot`.
    """
    again = f"devswap restore {journal.called}"
    leave = f"; or leave this as it is: {again} --skip {step.kind}" if step.facts else ""
    again += f" goes on here{leave}"
    try:
        yield
    except (Postponed, _Unnoted):
        raise
    except MachineGone as error:
        if error.address != step.on:  # its own machine took the change along; another one was needed for the undo
            raise NotWhole(f"cannot {step.describe()[1]} in {step.on}: {error}", hint=again) from error
        if moot is not None:
            moot.append(step.describe()[1])
    except Unrecognised as error:
        leave = f"devswap restore {journal.called} --keep-theirs {shlex.quote(f'{error.on}:{error.path}')}"
        away = f"keep it elsewhere: {shell(error.on, 'mv', error.path, '/root/')}" if error.can_go else "put it right"
        away += f", then {again}"
        raise NotWhole(
            f"cannot {step.describe()[1]} in {step.on}: {error}",
            hint=f"{leave} leaves it as it is; or {away}" if error.can_stay else away,
        ) from error
    except DevswapError as error:
        raise NotWhole(
            f"cannot {step.describe()[1]} in {step.on}: {error}", hint=", then ".join(filter(None, (error.hint, again)))
        ) from error
    except OSError as error:
        hint = f"{_mend(error)}, then {again}"
        raise NotWhole(f"cannot {step.describe()[1]} in {step.on}: {error}", hint=hint) from error
    except Exception as error:  # a fault of ours may be there the next time, too
        hint = f"{again}; {_by_hand(journal)}"
        raise NotWhole(f"cannot {step.describe()[1]} in {step.on}: {error!r}", hint=hint) from error


def _mend(error: OSError) -> str:
    return "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"


def _by_hand(journal: Journal) -> str:
    return f"by hand, once read: sh {shlex.quote(str(journal.folder / 'restore.sh'))}"
