"""The end of a program on a terminal, however long that takes: close() waits a tenth of a second for it."""

from __future__ import annotations

import signal
from typing import Any

import pexpect


def close(terminal: pexpect.spawn[Any]) -> None:
    if terminal.isalive():
        terminal.kill(signal.SIGKILL)
        terminal.wait()
    terminal.close()
