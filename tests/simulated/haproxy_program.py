"""haproxy(1) of a simulated machine: its check of files, and what a signal has it do."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.simulated.haproxy import Haproxy
from tests.simulated.processes import Effect, Outcome

if TYPE_CHECKING:
    from tests.simulated.machine import SimulatedMachine


def haproxy(machine: SimulatedMachine, tool: str, arguments: list[str]) -> Effect:
    """`haproxy -c -f FILE…` knows one error, "nonsense"; a reload of files with an error changes nothing."""
    balancer = machine.state.haproxy
    assert balancer is not None, f"{machine.name} has no HAProxy"
    if tool != "kill":
        named = [word for before, word in pairwise(arguments) if before == "-f"]
        return Outcome(1, stderr="[ALERT] unknown keyword 'nonsense'\n") if _is_wrong(machine, named) else Outcome()
    return _reload(machine, balancer)


def _is_wrong(machine: SimulatedMachine, paths: list[str]) -> bool:
    return any(b"nonsense" in (machine.files.read(path) or b"") for path in paths)


def _reload(machine: SimulatedMachine, balancer: Haproxy) -> Generator[None, None, Outcome]:
    if not _is_wrong(machine, balancer.sources):
        balancer.load(lambda path: (machine.files.read(path) or b"").decode())
        yield
    return Outcome()
