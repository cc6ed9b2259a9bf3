"""Ctrl-C while an expression that was typed at a prompt runs: it ends the expression, not the service.

The terminal's keys send no signals then, so a thread reads what is typed and interrupts the one that evaluates. Other
lines that are typed meanwhile are the next commands.
"""

import _thread
import ctypes
import os
import select
from contextlib import contextmanager
from typing import Iterator, List

from .terminal import INTERRUPT

# The real ones: eventlet replaces them later, and a greenthread would not run while another evaluates.
_start, _new_lock, _identity = _thread.start_new_thread, _thread.allocate_lock, _thread.get_ident
_select, _read = select.select, os.read
_QUICK = 0.5
_POLL = 0.1


@contextmanager
def watched(descriptor: int, commands: List[str]) -> Iterator[None]:
    """While the body runs Ctrl-C raises KeyboardInterrupt in it; other lines are appended to `commands`.

    What is over in half a second is not watched: keys typed ahead are the prompt's.
    """
    done, ended = _new_lock(), _new_lock()
    done.acquire()
    ended.acquire()
    thread = _identity()

    def watch() -> None:
        try:
            if not done.acquire(timeout=_QUICK):
                while not done.acquire(timeout=_POLL):
                    _look(descriptor, thread, commands)
        finally:
            ended.release()

    _start(watch, ())
    try:
        yield
    finally:
        done.release()
        ended.acquire()


def _look(descriptor: int, thread: int, commands: List[str]) -> None:
    ready, _, _ = _select([descriptor], [], [], 0)
    if not ready:
        return
    line = _read(descriptor, 4096)
    if INTERRUPT in line:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
    elif line.strip():
        commands.append(line.decode(errors="replace").rstrip("\r\n"))
