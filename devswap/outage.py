"""How long a service answered nobody while production came back."""

from __future__ import annotations

import time


class Outage:
    """From the stop of what answered until something answers again, as far as both are seen; each counts once."""

    def __init__(self, unit: tuple[str, str] | None = None) -> None:
        """`unit` is (machine, unit) of what answers."""
        self._unit = unit
        self._began: float | None = None
        self._ended: float | None = None

    def begin(self) -> None:
        if self._began is None:
            self._began = time.monotonic()

    def begin_if_stopped(self, on: str, unit: str) -> None:
        """`unit` is about to be stopped in `on`: another's stop is no outage of what answers."""
        if (on, unit) == self._unit:
            self.begin()

    def end(self) -> None:
        if self._began is not None and self._ended is None:
            self._ended = time.monotonic()

    @property
    def seconds(self) -> float | None:
        """None where nothing was stopped that answered, or nothing has answered since."""
        return None if self._began is None or self._ended is None else self._ended - self._began
