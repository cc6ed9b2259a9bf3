"""What must come to its end: a way back that is under way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from devswap.host import Host

_REFUSED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)


@contextmanager
def undisturbed(host: Host) -> Iterator[None]:
    """A second Ctrl-C, or Ctrl-\\, must not stop the way back, nor Ctrl-Z in its midst; it is said instead."""

    def refuse(*_: object) -> None:
        host.say("production is coming back; this cannot be interrupted")

    before = {number: signal.signal(number, refuse) for number in _REFUSED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
