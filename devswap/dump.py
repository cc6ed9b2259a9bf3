"""What a running service is doing: its own report (oslo.reports), and the stacks of its threads.

Neither is asked of a process that would end by the question: the kernel says which signals a process catches.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devswap import debugging, locate, masking, process
from devswap.debugger import stacks
from devswap.errors import CommandFailed, DevswapError
from devswap.host import Host
from devswap.journal import Swap
from devswap.machine import Machine

_REPORT_SECONDS, _STACKS_SECONDS = 5.0, 2.0
_REPORT_BEGINS = "Guru Meditation"
_SAMPLER, _NO_PROGRAM = "py-spy", 127
_WEB_SERVERS = ("uwsgi", "apache2", "httpd")
"""They catch the signal for something else."""


@dataclass(frozen=True)
class Process:
    """One of a service's, as its machine numbers it."""

    pid: int
    command: str
    caught: int
    """The signals it catches: bit N-1 is signal N (proc(5), SigCgt)."""

    @property
    def program(self) -> str:
        return self.command.split(" ")[0].rpartition("/")[2]

    def catches(self, number: int) -> bool:
        return bool(self.caught >> (number - 1) & 1)


@dataclass(frozen=True)
class Section:
    title: str
    text: str


def of(host: Host, service: str, wanted: str | None) -> list[Section]:
    """Its report, then each process's stacks; raises DevswapError where nothing runs."""
    journal = locate.swap_if_any(host, service, wanted)
    swap = journal.swap if journal else None
    if swap is not None:
        machine, unit, folders = host.machine(swap.machine), swap.unit, swap.deployment["interpreter"]["site_folders"]
    else:
        deployment = locate.deployment(host, service, wanted)
        machine, unit, folders = deployment.machine, deployment.unit, deployment.interpreter.site_folders
    running = list(processes(machine, unit))
    if not running:
        raise DevswapError(f"{service} does not run in {machine.name}", hint=f"devswap logs {service} shows its end")
    return [
        _report(machine, unit, running, folders, foreground=swap is not None and swap.mode == "foreground"),
        *(Section(f"process {each.pid}: {each.command}", _stacks(machine, each, swap)) for each in running),
    ]


def processes(machine: Machine, unit: str) -> Iterator[Process]:
    """All that run in the unit."""
    for name in sorted(filter(str.isdigit, machine.names("/proc")), key=int):
        groups = (machine.read_text(f"/proc/{name}/cgroup") or "").splitlines()
        if any(f"/{unit}/" in f"{line}/" for line in groups):
            fields = dict(
                line.split(":", 1)
                for line in (machine.read_text(f"/proc/{name}/status") or "").splitlines()
                if ":" in line
            )
            words = (machine.read_text(f"/proc/{name}/cmdline") or "").rstrip("\0").split("\0")
            yield Process(int(name), masking.mask(" ".join(words)), int(fields.get("SigCgt", "0"), 16))


def _report(
    machine: Machine, unit: str, running: Sequence[Process], folders: Sequence[str], *, foreground: bool
) -> Section:
    """The Guru Meditation Report of those processes that make one: oslo.reports listens to SIGUSR2."""
    able = [each for each in running if each.catches(signal.SIGUSR2) and each.program not in _WEB_SERVERS]
    if not able or not any(machine.is_folder(f"{folder}/oslo_reports") for folder in folders):
        return Section("report", "it makes none (oslo.reports is not set up in it)")
    since = time.time()
    _signal(machine, able, signal.SIGUSR2)
    if foreground:
        return Section("report", "it is on the terminal of its foreground run")
    read = lambda: _logged(machine, unit, since)  # noqa: E731
    text = _settled(read, seconds=_REPORT_SECONDS)
    return Section("report", masking.mask(text) or "it has written none to its log: has oslo_reports a log_dir?")


def _logged(machine: Machine, unit: str, since: float) -> str:
    line = ["journalctl", "--unit", unit, f"--since=@{since:.3f}", "--output=cat", "--no-pager"]
    said = machine.run(line, ok=range(256)).stdout
    begins = said.find(_REPORT_BEGINS)
    border = said.rfind("\n", 0, said.rfind("\n", 0, begins))
    return said[max(0, border) :].strip() if begins >= 0 else ""


def _stacks(machine: Machine, asked: Process, swap: Swap | None) -> str:
    if swap is not None and asked.catches(stacks.number()):
        path = debugging.stacks_file(swap)
        before = len(machine.read_bytes(path) or b"")
        _signal(machine, [asked], stacks.number())
        added = lambda: (machine.read_bytes(path) or b"")[before:].decode(errors="replace")  # noqa: E731
        return _settled(added, seconds=_STACKS_SECONDS).strip() or "it has not answered"
    return _sampled(machine, asked)


def _sampled(machine: Machine, asked: Process) -> str:
    """By py-spy from outside, where the host has it."""
    try:
        return process.run([_SAMPLER, "dump", "--pid", str(_on_host(machine, asked.pid))], timeout=30).stdout.strip()
    except CommandFailed as error:
        if error.result.code == _NO_PROGRAM:
            return f"not asked: {_SAMPLER} is not installed on this host (pip install {_SAMPLER})"
        return f"{_SAMPLER} cannot look: {error.result.tail}"
    except ProcessLookupError:
        return "it has ended"


def _on_host(machine: Machine, pid: int) -> int:
    """How the host numbers a machine's process."""
    inside = machine.link_target("/proc/1/ns/pid")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(folder / "ns/pid") != inside:
                continue
            status = (folder / "status").read_text()
        except OSError:  # it has ended
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        if numbers[-1] == str(pid):
            return int(folder.name)
    raise ProcessLookupError(pid)


def _signal(machine: Machine, asked: Sequence[Process], number: int) -> None:
    machine.run(["kill", f"-{number:d}", *(str(each.pid) for each in asked)], ok=(0, 1))  # 1: one has ended


def _settled(read: Callable[[], str], *, seconds: float) -> str:
    """What `read` returns once it returns the same twice, and something."""
    deadline, last = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        time.sleep(0.2)
        now = read()
        if now and now == last:
            break
        last = now
    return last
