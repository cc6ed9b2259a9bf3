"""Asks a service whether it serves: its queue's broker (probe_queue.py), or itself (probe_web.py).

A probe is a script that runs inside the machine, with production's own Python and as the service's user. It reads one
line of JSON, asks until the service serves or its time is over, prints {"serving", "why"}, and ends when its standard
input does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from devswap import frozen, process
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.probe_queue import QueueProbe
from devswap.probe_web import WebProbe
from devswap.process import TimeoutExpired

Probe = QueueProbe | WebProbe
_END_SECONDS = 2.0


def from_json(read: Mapping[str, Any]) -> Probe:
    facts: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in read.items()}
    kind = facts.pop("kind", "queue")  # the journals of earlier versions know no other
    return WebProbe(**facts) if kind == "web" else QueueProbe(**facts)


@dataclass(frozen=True)
class Answer:
    serving: bool
    why: str


class Question:
    """A probe in its machine, ready to ask: made before production stops, its own start costs no outage."""

    def __init__(self, probe: Probe, machine: Machine) -> None:
        self._over = False
        self._watch = frozen.Watch(machine.address, machine.is_frozen)
        self._process = machine.popen(
            [probe.python, "-c", probe.script],
            user=probe.user,
            cwd="/",
            stdin=process.PIPE,
            stdout=process.PIPE,
            stderr=process.PIPE,
            new_session=True,
        )
        try:
            self._asked = probe.asked(machine)
        except BaseException:
            self.withdraw()
            raise

    def begin(self, *, seconds: float) -> None:
        """Ask from now on, until the service serves or the seconds have passed."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):  # there is no such interpreter: its exit code and its words tell
            self._process.stdin.write((json.dumps({**self._asked, "seconds": seconds}) + "\n").encode())
            self._process.stdin.flush()

    def is_answered(self, *, within: float = 0.0) -> bool:
        """Whether there is an answer, for which it waits so many seconds at most."""
        if not within:
            return self._process.poll() is not None
        try:
            self._process.wait(within)
        except TimeoutExpired:
            return False
        return True

    def withdraw(self) -> None:
        """Stop asking, if it has not stopped by itself. What asks inside the machine ends too: its input has."""
        if not self._over:
            self._over = True
            self._process.kill()
            with suppress(TimeoutExpired):  # in a machine that is frozen it keeps its pipes open
                self._process.communicate(timeout=_END_SECONDS)

    def answer(self) -> Answer:
        """Wait for the service to serve, or for the seconds to pass."""
        assert self._process.stdout is not None  # noqa: S101
        try:
            out = b"".join(
                self._watch.read(self._process.stdout)
            )  # its standard input stays open: closed, it would end
        except DevswapError as error:
            self.withdraw()
            return Answer(serving=False, why=error.message)
        self._over = True
        _, err = self._process.communicate()
        if self._process.returncode != 0 or not out.strip():
            said = err.decode(errors="replace").strip().splitlines()
            return Answer(serving=False, why=f"it cannot be asked: {said[-1] if said else 'no answer'}")
        # What a library prints on its way is not the answer: the answer is the last line
        return Answer(**json.loads(out.splitlines()[-1]))


def ask(probe: Probe, machine: Machine, *, seconds: float = 0.0) -> Answer:
    """Whether the service serves, waiting at most `seconds` for it to."""
    question = Question(probe, machine)
    question.begin(seconds=seconds)
    return question.answer()
