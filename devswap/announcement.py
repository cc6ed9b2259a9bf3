"""Says once that development on a terminal answers, and once more after each start; or ends a run that must answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from devswap import kept_terminal
from devswap.errors import Busy, NotServing
from devswap.probe import Answer, Question

_TRIES_SECONDS = 3600.0
_JOIN_SECONDS = 1.0
"""Between two tries to give it its work, where others must have done with a database first."""


class Shown(Protocol):
    """What a terminal shows of development, between whose lines something can be said."""

    def say(self, text: str) -> None: ...

    def is_debugged(self) -> bool:
        """Whether somebody has stopped it, who has all the time there is."""


class Announcement:
    """Of one service, at whose name and ref it is `called`; it was started at `since` (time.monotonic()).

    `arrived` is called once it answers, and then `join`, with how to say something on the terminal, until it raises
    Busy no more: a look takes no time. Where it must answer `within` so many seconds, looking raises NotServing once
    they have passed; `ask` asks it then, a last time.
    """

    def __init__(
        self,
        shown: Shown,
        service: str,
        ref: str,
        question: Question | None,
        since: float,
        *,
        arrived: Callable[[], None],
        join: Callable[[Callable[[str], None]], None],
        ask: Callable[[], Answer],
        within: float | None = None,
    ) -> None:
        self._shown, self._service, self._ref, self._since = shown, service, ref, since
        self._arrived, self._join, self._ask_now = arrived, join, ask
        self._what = "outage"
        self._within = within
        self._deadline = 0.0
        self._question: Question | None = None
        self._busy_at: float | None = None
        """When it was last seen that it cannot be given its work yet."""
        self._ask(question)

    def again(self, question: Question | None, since: float) -> None:
        """Of another start of the service, after a save at `since`."""
        self._since, self._what, self._busy_at = since, "since the save", None
        if self._question is not None:
            self._question.withdraw()
        self._ask(question)

    @property
    def is_over(self) -> bool:
        """Whether all is said that there is to say of this start."""
        return self._question is None and self._busy_at is None

    def look(self) -> None:
        if self._busy_at is not None and time.monotonic() - self._busy_at > _JOIN_SECONDS:
            self._give_work()
        if self._question is None:
            return
        if self._question.is_answered():
            answer = self._question.answer()
        elif self._is_late():
            answer = self._ask_now()
            self._question.withdraw()
        else:
            return
        self._question = None
        if answer.serving:
            self._arrived()
            self._give_work()
            seconds = f"{time.monotonic() - self._since:.1f} s"
            self._shown.say(f"{self._service} answers from {self._ref}; {self._what} {seconds}")
            self._within = None
            self._tell_serving()
        else:
            self.fail(answer.why)

    def _give_work(self) -> None:
        waited = self._busy_at is not None
        try:
            self._join(self._shown.say)
        except Busy as error:
            if not waited:
                self._shown.say(error.message)
            self._busy_at = time.monotonic()
            return
        self._busy_at = None
        if waited:
            self._tell_serving()

    def _tell_serving(self) -> None:
        if self._busy_at is None:
            kept_terminal.tell_serving(self._service)

    def fail(self, why: str) -> None:
        """It does not answer, for that reason; nothing where nobody insists on it."""
        if self._within is not None:
            raise NotServing(f"{self._service} does not serve: {why}")

    def _is_late(self) -> bool:
        if self._within is None:
            return False
        if self._shown.is_debugged():
            self._deadline = time.monotonic() + self._within
        return time.monotonic() > self._deadline

    def _ask(self, question: Question | None) -> None:
        self._question = question
        self._deadline = time.monotonic() + (self._within or 0)
        if question is not None:
            question.begin(seconds=_TRIES_SECONDS)
        else:
            self._within = None  # there is nobody to ask
