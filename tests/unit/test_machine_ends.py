"""A machine that is ended in the very instant in which it is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from devswap.backed_machine import BackedMachine
from devswap.errors import DevswapError


class Ending:
    """Its first process has ended, and nobody has noticed yet."""

    address = "lxc:web"

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def init_pid(self) -> int:
        return self._pid

    def addresses(self) -> list[str]:
        return []

    def enter(self, argv: Sequence[str]) -> list[str]:
        return list(argv)


def test_mounts_that_went_with_their_machine_are_told_as_a_machine_that_is_not_running() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        machine = BackedMachine(Ending(child.pid))
        for look in (machine.unmount, machine.mounted):
            with pytest.raises(DevswapError, match="cannot reach lxc:web: it is not running") as told:
                look("/run/devswap")
            assert told.value.hint == "start it: lxc-start -n web"
