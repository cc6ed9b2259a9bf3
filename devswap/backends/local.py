"""This host as a machine: services on metal, with no container around them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from devswap import network
from devswap.process import Result


class Local:
    address = "local:"

    def enter(self, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def was_shut(self, failed: Result) -> bool:  # noqa: ARG002 - one is in already
        return False

    def addresses(self) -> list[str]:
        return ["127.0.0.1", *network.addresses(os.getpid())]

    def init_pid(self) -> int | None:
        # Our own view of the host: its real first process may be out of reach, in a container of its own.
        return os.getpid()

    def is_frozen(self) -> bool:
        return False
