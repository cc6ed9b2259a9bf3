"""Who this devswap is, as a journal or a claim names it."""

from __future__ import annotations

import os
import socket

from devswap.journal import Owner


def this_process(user: str, uid: int, terminal: str) -> Owner:
    """The owner that this devswap is."""
    return Owner(user, uid, socket.gethostname(), terminal, os.getpid())
