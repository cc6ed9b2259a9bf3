"""This host as a machine: services on metal, with no container around them."""

from __future__ import annotations

from collections.abc import Sequence


class Local:
    address = "local:"

    def enter(self, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def init_pid(self) -> int | None:
        return 1
