"""A service that HAProxy sends requests to: what tests of narrowing it and of swapping it share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import narrowing, rotation, swap
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.machine import SimulatedMachine

CFG, FRAGMENT = "/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d/heat_api"
SERVICE = "heat-api"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.balance()
    for name, fate in (("plain", ""), ("other", ""), ("dies", "dies")):
        found.checkout(name, fate=fate)
    monkeypatch.setattr(rotation, "ANSWER_SECONDS", 0.0)
    with no_waiting(monkeypatch):
        yield found


@pytest.fixture
def machine(cloud: SimulatedCloud) -> SimulatedMachine:
    return cloud.machine(images.HAPROXY)


def narrow(cloud: SimulatedCloud, name: str = SERVICE, *, exclusive: bool = False) -> narrowing.Narrowed:
    return narrowing.narrow(cloud.host(), name, to=images.HEAT, exclusive=exclusive)


def widen(cloud: SimulatedCloud, name: str = SERVICE) -> int:
    host = cloud.host()
    return swap.restore(host, narrowing.find(host, name)).identical


def checkout(
    cloud: SimulatedCloud, ref: str = "plain", *, narrow: bool = True, breakpoints: bool | None = None
) -> None:
    wish = Wish(SERVICE, ref, None, None, detach=True, narrow=narrow, breakpoints=breakpoints)
    swap.checkout(cloud.host(), wish, cloud.makers)


def restore(cloud: SimulatedCloud) -> None:
    host = cloud.host()
    for journal in reversed(host.journals.all()):
        swap.restore(host, journal)


def serving(cloud: SimulatedCloud) -> list[str]:
    return cloud.haproxy.serving(images.BACKEND)
