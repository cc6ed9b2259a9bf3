"""Foreground runs of several swaps that share this terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from devswap import changing, coming_back, running, swap, systemd, traffic, transcript
from devswap.announcement import Announcement
from devswap.errors import NotServing
from devswap.foreground import Ended
from devswap.host import Host
from devswap.journal import Journal
from devswap.probe import Question
from devswap.pty import Terminal
from devswap.running import Start
from devswap.together import Part, Together

Endings = Mapping[str, Ended]
"""How each service's run ended, by its name."""


class Runs:
    """Foreground runs that share this terminal; `begun` ends those that were begun, `until_ended` the rest."""

    def __init__(self, host: Host, until_ended: ExitStack, begun: ExitStack) -> None:
        self._host, self._until_ended, self._begun = host, until_ended, begun
        self._parts: list[Part] = []
        self._starts: list[Start] = []
        self._answered: set[str] = set()

    def begin(self, journal: Journal, start: Callable[[Terminal, Question | None], Start]) -> None:
        """Start one at once: what it says is kept by its terminal until all of them are shown."""
        host, taken = self._host, journal.swap
        machine = host.machine(taken.machine)
        terminal = self._until_ended.enter_context(swap.terminal_of(host, journal))
        question = self._until_ended.enter_context(running.standing_by(host, taken))
        self._starts.append(start(terminal, question))
        job = self._begun.enter_context(running.begun(host, journal))
        kept = self._until_ended.enter_context(transcript.beside(journal))
        self._parts.append(Part(taken.service, terminal, job, lambda: systemd.kill(machine, taken.unit), kept.write))

    def show(self, begun: ExitStack, *, within: float | None = None) -> Endings:
        """Until all have ended; a kill or a lost terminal ends them as Ctrl-C does, and the swaps stay.

        Where all must answer `within` so many seconds, raises NotServing if one does not, and KeyboardInterrupt if they
        are ended before.
        """
        try:
            with begun:
                endings = self._show(within)
        except KeyboardInterrupt:
            endings = {part.name: Ended(by_user=True) for part in self._parts}
        except NotServing:
            raise
        except Exception:
            with coming_back.still_held(self._names):
                raise
            raise
        finally:
            for start in self._starts:
                with (
                    coming_back.still_held(self._names),
                    changing.traffic(self._host, start.journal, "run") as changed,
                ):
                    traffic.take_out(changed, start.journal)
        if self._is_owed(within):
            raise KeyboardInterrupt
        return endings

    def _show(self, within: float | None) -> Endings:
        shown = Together(self._parts)
        shown.fit()
        told = {start.journal.swap.service: self._told(start, shown, within) for start in self._starts}

        def look() -> None:
            for each in told.values():
                each.look()

        endings = shown.run(look)
        for name, ended in endings.items():
            if not (ended.by_user or told[name].is_over):
                told[name].fail("it has ended")
        return endings

    def _told(self, start: Start, shown: Together, within: float | None) -> Announcement:
        def serving(say: Callable[[str], None]) -> None:
            self._answered.add(start.journal.swap.service)
            swap.put_in_while_shown(self._host, start.journal, say)

        return running.announced(self._host, start, shown, serving, within=within)

    def _is_owed(self, within: float | None) -> bool:
        """Whether one that must answer has not yet."""
        owing = [start.journal.swap.service for start in self._starts if running.must_answer(start, within)]
        return not self._answered.issuperset(owing)

    @property
    def _names(self) -> str:
        return " ".join(part.name for part in self._parts)
