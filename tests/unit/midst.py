"""What another devswap does in the midst of a change: it is done by the same thread, at that very instant."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import swap
from devswap.errors import CommandTimeout
from devswap.host import Host
from devswap.journal import Journal
from devswap.process import Result
from devswap.wish import Wish
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine

ENGINE, API = "heat-engine", "heat-api"


class Waits(BaseException):
    """Somebody would have to wait: as an interrupt there, so that nothing takes it for something gone wrong."""


def impatient(host: Host) -> Host:
    def say(text: str) -> None:
        if text.startswith("waiting for"):
            raise Waits(text)
        host.say(text)

    return replace(host, say=say)


def check_out(
    host: Host, cloud: SimulatedCloud, service: str, ref: str, *, machine: str | None = None, **options: Any
) -> None:
    swap.checkout(host, Wish(service, ref, machine, None, detach=True, **options), cloud.makers)


def journal(cloud: SimulatedCloud, service: str) -> Journal:
    (found,) = [each for each in cloud.host().journals.all() if each.swap.service == service]
    return found


def restore(host: Host, cloud: SimulatedCloud, service: str) -> None:
    swap.restore(host, journal(cloud, service))


@contextmanager
def in_the_midst_of(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, act: Callable[[], None], *, of: str = ""
) -> Iterator[list[str]]:
    """`act` once, just before the first call of `name` whose arguments name `of`."""
    done: list[str] = []
    real = getattr(where, name)

    def call(*arguments: Any, **options: Any) -> Any:
        if not done and (not of or of in map(str, arguments)):
            done.append(name)
            act()
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(where, name, call)
        yield done


@contextmanager
def in_a_slow_job_of(
    monkeypatch: pytest.MonkeyPatch, verb: str, unit: str, act: Callable[[], None]
) -> Iterator[list[str]]:
    """`act` once, when `systemctl VERB UNIT` has taken longer than a few seconds."""
    waited, done = list[float](), list[str]()
    real = SimulatedMachine.run

    def run(self: SimulatedMachine, argv: Sequence[str], *, timeout: float | None = None, **how: Any) -> Any:
        if not done and list(argv) == ["systemctl", verb, "--", unit]:
            if not waited:
                assert timeout is not None
                waited.append(timeout)
                raise CommandTimeout("late", result=Result(tuple(argv), 124, "", ""))
            done.append(unit)
            act()
        return real(self, argv, timeout=timeout, **how)

    with monkeypatch.context() as patched:
        patched.setattr(SimulatedMachine, "run", run)
        yield done


def is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
