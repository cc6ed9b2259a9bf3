"""Writes the stacks of all threads when it is asked for them by a signal, whatever the process is busy with."""

import faulthandler
import signal
from typing import Any, List

_kept: List[Any] = []


def install(path: str) -> None:
    """`devswap dump` sends the signal, and reads the file at `path`; forked workers inherit both."""
    file = open(path, "a")  # noqa: SIM115 - open as long as the process lives
    _kept.append(file)
    faulthandler.register(number(), file=file, all_threads=True, chain=False)


def number() -> int:
    """One that no service uses."""
    return int(signal.SIGRTMIN) + 11
