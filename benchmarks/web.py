"""An edit under the web server: from `devswap run` to the first answer of it, beside the application's own start.

heat-api, which uWSGI runs, taken over with --apache. It is asked every 10 ms, from the host.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import swapped
from benchmarks.observer import settle
from benchmarks.place import Place
from benchmarks.swapped import Program
from devswap import systemd
from devswap.errors import DevswapError
from devswap.sandbox.changes import HARMLESS, change

_UNIT, _PORT = "heat-api.service", 8004
_SOURCE, _ID = "heat/api/versions.py", '"id": "v1.0'
_SECONDS = 60.0


@dataclass(frozen=True)
class Edited:
    """One run after an edit, in seconds."""

    answered: float
    """From the command to the first answer of the edited code."""
    start: float
    """Of that, from the start of the application's process: its own."""
    total: float
    """Until the command returned."""

    @property
    def besides(self) -> float:
        return self.answered - self.start


def measure(place: Place, program: Path, state: Path, *, rounds: int, say: Callable[[str], None]) -> list[Edited]:
    """Takes heat-api over, edits and runs it `rounds` times, and gives it back."""
    with swapped.first_day(place, program, state) as (devswap, person):
        tree = person.clone(place, change("heat", HARMLESS).ref(1))
        say("heat-api, with --apache")
        devswap.run("checkout", "heat-api", str(tree), "--machine", place.machine.name, "--apache")
        return [_edited(place, devswap, tree / _SOURCE, number, say) for number in range(rounds)]


def _edited(place: Place, devswap: Program, source: Path, number: int, say: Callable[[str], None]) -> Edited:
    say(f"heat-api: `run` after edit {number + 1}")
    text, edited = source.read_text(), f"v1.0-edit-{number}"
    source.write_text(text.replace(_ID, f'"id": "{edited}" or "v1.0'))
    settle()
    began = time.monotonic()
    seen = _FirstAnswer(place, edited)
    devswap.run("run", "heat-api")
    returned = time.monotonic()
    first = seen.at()
    source.write_text(text)
    name = "ExecMainStartTimestampMonotonic"
    started = int(systemd.show(place.machine, _UNIT, name)[name]) / 1e6
    return Edited(answered=first - began, start=first - started, total=returned - began)


class _FirstAnswer:
    """Asks in a thread of its own until an answer has `text` in it."""

    def __init__(self, place: Place, text: str) -> None:
        self._address, self._text = place.heat_api, text.encode()
        self._at: float | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def at(self) -> float:
        """When it came; raises DevswapError if it does not come."""
        self._thread.join()
        if self._at is None:
            raise DevswapError(f"heat-api does not answer from the edit within {_SECONDS:.0f} s")
        return self._at

    def _ask(self) -> None:
        until = time.monotonic() + _SECONDS
        while self._at is None and time.monotonic() < until:
            time.sleep(0.01)
            try:
                connection = http.client.HTTPConnection(self._address, _PORT, timeout=10)
                connection.request("GET", "/")
                if self._text in connection.getresponse().read():
                    self._at = time.monotonic()
                connection.close()
            except (OSError, http.client.HTTPException):  # nobody listens, or who did has just ended
                continue
