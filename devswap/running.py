"""Starts development in production's place, and says when it serves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from devswap import (
    attaching,
    database_claims,
    debugging,
    development,
    edits,
    fingerprint,
    followers,
    leftovers,
    listed_options,
    probe,
    reloading,
    systemd,
    transcript,
    way,
)
from devswap.announcement import Announcement, Shown
from devswap.development import Command
from devswap.errors import DevswapError
from devswap.foreground import Ended, Foreground
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.machine import Machine
from devswap.probe import Answer, Question
from devswap.process import DEVNULL, Popen
from devswap.pty import Terminal
from devswap.reloading import Reloading
from devswap.steps import apache
from devswap.tuning import DEBUGPY, Tuning

_EDITOR_SECONDS = 3600.0
"""How long one that waits for an editor may wait."""
_LOOK_SECONDS = 0.5
_BEGIN_SECONDS = 5.0
"""How long systemd may take to begin what it was told to start."""
_END_SECONDS = 6.0
"""How long development may take to end when its devswap ends: a service may finish its work for longer than that."""


@dataclass(frozen=True)
class Start:
    """What is known when development has been started: where, and when production gave its last answer."""

    journal: Journal
    stopped_at: float
    """time.monotonic() just before production was stopped."""
    question: Question | None
    """What asks whether it serves, ready since before that; None where nothing can be asked."""


def must_answer(start: Start, within: float | None) -> bool:
    """Whether a run that is to answer `within` so many seconds is held to it: where there is somebody to ask."""
    return within is not None and start.question is not None


Serving = Callable[[Callable[[str], None]], None]
"""Called when development on a terminal answers after a start, with how to say something there.

Raises Busy with nothing done where it would keep the terminal waiting: then it is called again.
"""


@contextmanager
def standing_by(host: Host, swap: Swap) -> Iterator[Question | None]:
    """What will ask whether development serves: made before production stops, since its own start takes a while."""
    watched = fingerprint.watched_from_json(swap.watched)
    question = Question(watched.probe, host.machine(swap.machine)) if watched.probe else None
    try:
        yield question
    finally:
        if question is not None:
            question.withdraw()


def write_drop_in(host: Host, swap: Swap, text: str) -> None:
    """Point the unit's drop-in at development as it shall run now; systemd is told only if something changed."""
    machine = host.machine(swap.machine)
    if Tuning.read(swap.tuning).breakpoints:
        machine.remove(debugging.placed_file(swap))  # of the start before
    if text and machine.read_text(development.path(swap.unit)) != text:
        machine.write_text(development.path(swap.unit), text)
        systemd.reload(machine)


def drop_in_text(host: Host, swap: Swap, terminal: Terminal | None) -> str:
    """How development shall run from now on: found out while something serves. Empty where Apache runs it."""
    command = way.command_of(swap)
    if not command.argv:
        return ""
    tuning = Tuning.read(swap.tuning)
    more = tuning.environment()
    more["DEVSWAP_DEBUGGER"] = debugging.as_json(swap, terminal.path if terminal else None)
    if terminal is not None:
        more["TERM"] = os.environ.get("TERM", "dumb")
    told = [*(command.on_terminal if terminal else ()), *listed_options.words(swap, tuning.lists)]
    argv = [*tuning.argv(command.argv), *told]
    command = Command(tuple(argv), {**command.environment, **more}, simple=command.simple)
    device = terminal.path if terminal else None
    settings = {**edits.view_of(host, swap), **listed_options.unit_settings(tuning.lists)}
    patient = tuning.debugger == DEBUGPY
    return development.drop_in(swap.service, command, terminal=device, settings=settings, patient=patient)


def detached(host: Host, start: Start, *, seconds: float, serving: Callable[[], None]) -> Answer:
    """Start the unit in the background and wait until it serves; ends early if it dies.

    `serving` is called once it answers: the outage is over when it has returned. Raises DevswapError with its last
    words if it does not serve within `seconds`; where it waits for an editor first, that takes as long as it takes.
    """
    swap = start.journal.swap
    machine, tuning = host.machine(swap.machine), Tuning.read(swap.tuning)
    if tuning.waits_for_client:
        attaching.tell(host, swap)
        seconds = _EDITOR_SECONDS
        host.say(f"{swap.service} waits until an editor has attached to {tuning.listen}; Ctrl-C gives it up")
    with database_claims.held(host, start.journal, "run"):  # who loads one has stopped all that would use it
        systemd.start(machine, swap.unit)
    if start.question is not None:
        start.question.begin(seconds=seconds)
    answer = _await(machine, swap.unit, start.question)
    if not answer.serving:
        said = "" if way.is_in_apache(swap) else systemd.journal_tail(machine, swap.unit)
        raise DevswapError(f"{swap.service} does not serve: {answer.why}\n{said}".rstrip())
    _arrived(machine, start.journal)
    serving()
    attaching.tell_truth(host, swap)
    host.say(f"{swap.service} answers from {swap.ref}; outage {time.monotonic() - start.stopped_at:.1f} s")
    return answer


def _arrived(machine: Machine, journal: Journal) -> None:
    """What systemd has stopped with production runs beside development.

    A web server before it that was refused meanwhile would not ask again for a minute.
    """
    swap = journal.swap
    followers.start_beside(machine, _followers(journal))
    watched = fingerprint.watched_from_json(swap.watched)
    if watched.front and systemd.state(machine, watched.front).is_active:
        apache.reload(machine, watched.front)


def _followers(journal: Journal) -> Iterator[str]:
    for entry in journal.entries:
        if (entry.step["on"], entry.step.get("unit")) == (journal.swap.machine, journal.swap.unit):
            yield from (entry.captured or {}).get("followers", ())


def _await(machine: Machine, unit: str, question: Question | None) -> Answer:
    # Each look at the unit is a process in the machine, and takes from what development needs to start.
    while question is not None and not question.is_answered(within=_LOOK_SECONDS):
        found = systemd.state(machine, unit)
        if not found.is_active:
            return Answer(serving=False, why=_ended(found))
    if question is not None:
        return question.answer()
    found = systemd.state(machine, unit)
    return Answer(serving=found.is_active, why=f"its unit is {found.active}")


def _how_it_ended(machine: Machine, unit: str) -> str:
    return _ended(systemd.state(machine, unit))


def _ended(found: systemd.UnitState) -> str:
    return f"it ended with code {found.code}"


def foreground(
    host: Host,
    start: Start,
    terminal: Terminal,
    *,
    reload: bool = False,
    within: float | None = None,
    serving: Serving,
) -> Ended:
    """Start the unit on this terminal and stay until it ends; nothing of it runs any more afterwards.

    With `reload` it is started again whenever a file of its checkout is saved, and only Ctrl-C ends the run. Raises
    NotServing where it must answer `within` so many seconds, and does not.
    """
    swap = start.journal.swap
    machine = host.machine(swap.machine)
    with ExitStack() as until_ended:
        job = until_ended.enter_context(begun(host, start.journal))
        kept = until_ended.enter_context(transcript.beside(start.journal))
        force = partial(systemd.kill, machine, swap.unit)
        elsewhere = Tuning.read(swap.tuning).debugger == DEBUGPY
        shown = Foreground(terminal, job, force, kept.write, elsewhere=elsewhere)
        shown.fit()
        told = announced(host, start, shown, serving, within=within)
        if not reload:
            ended = shown.run(told.look)
            if not (ended.by_user or told.is_over):
                told.fail(_how_it_ended(machine, swap.unit))
            return ended
        copies = edits.of(host, swap.service, swap.machine).folder
        saves = until_ended.enter_context(reloading.watched(swap, copies))
        spare: list[Question | None] = []  # its start would take processor from the service's

        def again(saved_at: float) -> None:
            leftovers.end(machine, swap.service, swap.unit)
            write_drop_in(host, swap, drop_in_text(host, swap, terminal))
            shown.become(_begin(machine, swap.unit))
            told.again(spare.pop() if spare else until_ended.enter_context(standing_by(host, swap)), saved_at)

        free = partial(database_claims.held_if_free, host, start.journal, "run")
        reloads = Reloading(machine, swap, saves, again, free, copies)

        def look() -> None:
            told.look()
            if told.is_over and not spare:
                spare.append(until_ended.enter_context(standing_by(host, swap)))
            reloads.look(shown)

        return shown.run(look, wake=saves.descriptor)


def announced(host: Host, start: Start, shown: Shown, serving: Serving, *, within: float | None) -> Announcement:
    """What says on the terminal `shown` that it answers: see `foreground`."""
    swap, machine = start.journal.swap, host.machine(start.journal.swap.machine)
    watched, tuning = fingerprint.watched_from_json(swap.watched), Tuning.read(swap.tuning)
    early = tuning.waits_for_client or start.question is None
    if early:
        attaching.tell(host, swap)

    def ask() -> Answer:
        assert watched.probe is not None  # noqa: S101 - else there is no question, and nobody insists
        return probe.ask(watched.probe, machine)

    def join(say: Callable[[str], None]) -> None:
        serving(say)
        attaching.tell_truth(replace(host, say=say), swap)

    within = max(within, _EDITOR_SECONDS) if within is not None and tuning.waits_for_client else within
    return Announcement(
        shown,
        swap.service,
        swap.ref,
        start.question,
        start.stopped_at,
        arrived=partial(_arrived, machine, start.journal),
        join=join,
        ask=ask,
        within=within,
    )


@contextmanager
def begun(host: Host, journal: Journal) -> Iterator[Popen[bytes]]:
    """Start the unit on its terminal: what is given ends when it does, and nothing of it runs any more afterwards."""
    swap, machine = journal.swap, host.machine(journal.swap.machine)
    guard = _Guard(machine, swap)
    try:
        with database_claims.held(host, journal, "run"):  # who loads one has stopped all that would use it
            job = _begin(machine, swap.unit)
        yield job
    finally:
        _end(machine, swap)
        guard.release()


def _begin(machine: Machine, unit: str) -> Popen[bytes]:
    """What it returns ends when the unit does. The unit has begun: who looks now sees that it runs."""
    job = machine.popen(
        ["systemctl", "start", "--wait", "--", unit],
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        new_session=True,
    )
    deadline = time.monotonic() + _BEGIN_SECONDS
    while unit not in systemd.begun(machine) and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return job


def _end(machine: Machine, swap: Swap) -> None:
    """Close the gate, so that nobody starts development on a terminal that is gone, and stop what is left."""
    is_ours = way.is_held(machine, swap) or machine.exists(development.gate(swap.service))
    machine.remove(development.gate(swap.service))
    if is_ours:  # else the unit is production's again, which runs: the machine was restarted
        systemd.stop_within(machine, swap.unit, seconds=_END_SECONDS)
        systemd.reset_failed(machine, swap.unit)
    leftovers.end(machine, swap.service, swap.unit)


class _Guard:
    """Ends a foreground run when devswap dies: a unit in the machine reads a pipe that only devswap holds open.

    A hang-up would not do: SIGHUP means "read your configuration again" to OpenStack services.
    """

    def __init__(self, machine: Machine, swap: Swap) -> None:
        self._machine = machine
        self._unit = development.guard_unit(swap.service)
        path = development.guard_pipe(swap.service)
        systemd.stop(machine, self._unit)
        self._descriptor = machine.open_pipe(path)
        script = 'cat "$1"; rm -f "$2"; systemctl stop --no-block "$3"; sleep 6; systemctl kill --signal=KILL "$3"'
        machine.run(
            [
                "systemd-run",
                "--quiet",
                "--collect",
                f"--unit={self._unit}",
                "--",
                "sh",
                "-c",
                script,
                "sh",
                path,
                development.gate(swap.service),
                swap.unit,
            ]
        )

    def release(self) -> None:
        systemd.stop(self._machine, self._unit)
        os.close(self._descriptor)
