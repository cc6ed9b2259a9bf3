"""Ctrl-C while a step runs that takes long (`n` over a slow call): it comes back to the prompt, and ends nothing.

The prompt lets go of the terminal for a step, and what is over in a moment is not noticed. A longer one gets the keys
back: a thread reads them. It makes way for whoever stops elsewhere meanwhile, and then Ctrl-C is the service's again.
"""

import _thread
import os
import select
import sys
from contextlib import suppress
from typing import Any, Callable, Dict, Tuple

from . import terminal

# The real ones: eventlet replaces them later, and a greenthread would not run while another one computes.
_start, _new_lock, _identity, _select = (
    _thread.start_new_thread,
    _thread.allocate_lock,
    _thread.get_ident,
    select.select,
)
_QUICK = 0.2
_POLL = 0.1
_under_way: Dict[int, "Watch"] = {}
"""By thread. A step may lead out of all that is debugged, and then another prompt is the next one there."""


class Watch:
    """Of the step that this thread begins now. `stop` makes it stop at its next line, `leave` lets it go."""

    def __init__(self, path: str, stop: Callable[[Any, bool], None], leave: Callable[[], None]) -> None:
        self._path, self._stop, self._leave = path, stop, leave
        self._thread = _identity()
        greenlets = sys.modules.get("greenlet")
        self._greenlet = greenlets.getcurrent() if greenlets else None
        self._asked = False
        self.process = os.getpid()
        self._done, self._ended = _new_lock(), _new_lock()
        self._done.acquire()
        self._ended.acquire()
        end()
        _under_way[self._thread] = self
        _start(self._watch, ())

    def end(self) -> None:
        """Nothing reads the keys any more when this returns."""
        self._done.release()
        self._ended.acquire()

    def _watch(self) -> None:
        try:
            if not self._done.acquire(timeout=_QUICK):
                with suppress(OSError), terminal.lent(self._path) as lent:
                    self._read_keys(lent)
        finally:
            self._ended.release()

    def _read_keys(self, lent: terminal.Terminal) -> None:
        while not self._done.acquire(timeout=_POLL):
            if terminal.is_wanted() or self._thread not in sys._current_frames():
                return
            if not _select([lent.descriptor], [], [], 0)[0] or terminal.INTERRUPT not in lent.read():
                continue
            if self._asked:
                lent.write("devswap: goes on; Ctrl-C again stops the service\n")
                self._leave()
                return
            self._asked = True
            lent.write("devswap: stops at its next line; Ctrl-C again lets it go on\n")
            self._stop(*self._frame())

    def _frame(self) -> Tuple[Any, bool]:
        """Where it is, and whether it is a greenthread that waits, which is not what its thread does."""
        waits = self._greenlet.gr_frame if self._greenlet else None
        while waits is not None and str(waits.f_globals.get("__name__")).startswith("eventlet."):
            waits = waits.f_back
        return (waits, True) if waits is not None else (sys._current_frames().get(self._thread), False)


def end() -> None:
    """Of this thread's step, if one is under way."""
    watch = _under_way.pop(_identity(), None)
    if watch is not None and watch.process == os.getpid():  # a forked child has not got its thread
        watch.end()


def trace(frame: Any, dispatch: Any) -> None:
    """Have what is traced tell of its next line, in whichever frame that is."""
    while frame is not None:
        frame.f_trace = dispatch
        frame = frame.f_back
