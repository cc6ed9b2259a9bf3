"""What is running is asked only where it catches the question: a signal would end anything else."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import cast

import pytest

from devswap import dump
from devswap.machine import Machine
from devswap.process import Result

USR2 = 1 << (signal.SIGUSR2 - 1)
FILES = {
    "/proc/70/cgroup": "0::/heat.slice/heat-engine.service\n",
    "/proc/70/status": f"Name:\theat-engine\nSigCgt:\t{USR2:016x}\n",
    "/proc/70/cmdline": "heat-engine: master process [/bin/heat-engine]\0\0",
    "/proc/71/cgroup": "0::/heat.slice/heat-engine.service/below\n",
    "/proc/71/status": "Name:\thelper\nSigCgt:\t0000000000000002\n",
    "/proc/71/cmdline": "/bin/helper\0--password=x\0",
    "/proc/8/cgroup": "0::/heat.slice/heat-engine.service-other.service\n",
    "/proc/8/status": f"SigCgt:\t{USR2:016x}\n",
    "/proc/80/cgroup": "0::/uwsgi.service\n",
    "/proc/80/status": f"SigCgt:\t{USR2:016x}\n",
    "/proc/80/cmdline": "/venv/bin/uwsgi\0--ini\0x\0",
}
LOG = "before\n=====\n==== Guru Meditation ====\n=====\npassword = x\nend\n"


class Box:
    """As much of a machine as is looked at."""

    def __init__(self, log: str = LOG) -> None:
        self.log = log
        self.signalled: list[str] = []

    def names(self, path: str) -> list[str]:
        assert path == "/proc"
        return ["8", "70", "71", "80", "self", "meminfo"]

    def read_text(self, path: str) -> str | None:
        return FILES.get(path)

    def is_folder(self, path: str) -> bool:
        return path == "/site/oslo_reports"

    def run(self, argv: Sequence[str], *, ok: object = ()) -> Result:
        if argv[0] == "kill":
            self.signalled += argv[1:]
            return Result(tuple(argv), 0, "", "")
        return Result(tuple(argv), 0, self.log if self.signalled else "", "")


def report(box: Box, unit: str, *, foreground: bool = False) -> str:
    machine = cast(Machine, box)
    found = list(dump.processes(machine, unit))
    return dump._report(machine, unit, found, ["/other", "/site"], foreground=foreground).text


def test_the_processes_of_a_unit_are_those_in_its_group_and_below() -> None:
    found = list(dump.processes(cast(Machine, Box()), "heat-engine.service"))
    assert [each.pid for each in found] == [70, 71]
    assert [each.catches(signal.SIGUSR2) for each in found] == [True, False]
    assert found[1].command == "/bin/helper --password=***"


def test_the_report_is_asked_of_those_that_catch_the_signal_and_read_from_the_log() -> None:
    box = Box()
    assert report(box, "heat-engine.service") == "=====\n==== Guru Meditation ====\n=====\npassword = ***\nend"
    assert box.signalled == [f"-{signal.SIGUSR2:d}", "70"]


@pytest.mark.parametrize("unit", ["uwsgi.service", "nothing.service"])
def test_a_web_server_and_nobody_are_not_signalled(unit: str) -> None:
    box = Box()
    assert "makes none" in report(box, unit)
    assert box.signalled == []


def test_a_foreground_run_has_its_report_on_its_terminal() -> None:
    assert "terminal" in report(Box(), "heat-engine.service", foreground=True)
