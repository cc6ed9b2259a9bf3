"""One devswap at a time works on a project's mirror and checkouts; the next one waits and says so."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devswap import lock_holders
from devswap.errors import DevswapError

_SECONDS = 600.0


@contextmanager
def turn(lock: Path, *, say: Callable[[str], None], seconds: float = _SECONDS) -> Iterator[None]:
    """Hold `lock`, an existing file; raises DevswapError if it is not to be had in time. It ends with this process."""
    descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _wait(descriptor, lock, say, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, lock: Path, say: Callable[[str], None], deadline: float) -> None:
    waiting = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waiting:
                say(f"waiting for {lock_holders.told(descriptor)}, which fetches for the same project")
            waiting = True
            if time.monotonic() > deadline:
                raise DevswapError(
                    f"cannot fetch: {lock_holders.told(descriptor)} has been fetching for this project all the time",
                    hint=f"see which: fuser -v {lock}",
                ) from None
            time.sleep(0.1)
        else:
            return
