"""The host's one lock: whoever changes what several swaps touch holds it, for seconds.

What takes longer (the dump, migration and load of a database, a hook, a unit that takes its time to stop or to start,
requests of HAProxy that have to end, a server that has to answer) is done `aside`: the lock is let go meanwhile. That
is safe for what nobody else works on: a swap's own unit, which its claim keeps others from, and a database, which has a
claim of its own (see database_claims.py). It is not for what is looked at here and changed there: Apache's files,
callers that are restarted, whether production runs; HAProxy's files are looked at anew. Nor for what is done at once:
to have the lock again takes as long as others hold it, and production may be stopped then.

Claims come first, and are never waited for with this lock in hand: so nobody waits for somebody who waits for them.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devswap import lock_holders
from devswap.errors import DevswapError

_PAUSE = 0.05


class HostLock:
    """The lock as long as it is held; the kernel drops it when its holder dies."""

    def __init__(self, descriptor: int, seconds: float | None, say: Callable[[str], None] | None) -> None:
        self._descriptor, self._seconds, self._say = descriptor, seconds, say
        self._is_held = False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Others may change the host meanwhile. Whatever goes wrong inside: it is held again before that is told."""
        if not self._is_held:
            yield
            return
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._is_held = False
        try:
            yield
        finally:
            self.take()

    def take(self) -> None:
        self._wait()
        self._is_held = True

    def close(self) -> None:
        self._is_held = False
        os.close(self._descriptor)

    def _wait(self) -> None:
        began, say = time.monotonic(), self._say
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if self._seconds is not None and time.monotonic() - began > self._seconds:
                    raise DevswapError(
                        f"{lock_holders.told(self._descriptor)} has been changing this host for {self._seconds:.0f} s",
                        hint="devswap status shows whose; try again when it is done",
                    ) from error
                if say is not None:
                    say(f"waiting for {lock_holders.told(self._descriptor)}, which changes this host")
                    say = None
                time.sleep(_PAUSE)
            else:
                return


@contextmanager
def held(path: Path, *, seconds: float | None, say: Callable[[str], None] | None) -> Iterator[HostLock]:
    """Waits at most `seconds`, at first and after each `aside`; None: as long as it takes, as a way back must."""
    lock = HostLock(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), seconds, say)
    try:
        lock.take()
        yield lock
    finally:
        lock.close()
