"""A swap that cannot be read fails by itself: all others are given back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from devswap import narrowing, rotation, swap
from devswap.journal import Journal
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.person import Person

BROKEN, OTHER = "heat-engine", "heat-api"
CFG = "/etc/haproxy/haproxy.cfg"


def take_over(cloud: SimulatedCloud, service: str, ref: str = "plain") -> Journal:
    swap.checkout(cloud.host(), Wish(service, ref, None, None, detach=True), cloud.makers)
    return next(journal for journal in cloud.host().journals.all() if journal.swap.service == service)


def spoil(journal: Journal, change: Callable[[dict[str, Any]], object]) -> None:
    path = journal.folder / "journal.json"
    content = json.loads(path.read_text())
    for entry in content["entries"]:
        change(entry["step"])
    path.write_text(json.dumps(content))


def left(cloud: SimulatedCloud) -> list[str]:
    return [journal.swap.service for journal in cloud.host().journals.all()]


@pytest.mark.parametrize("options", [(), ("--keep-theirs", "/etc/whatever")])
@pytest.mark.parametrize(
    "change",
    [
        lambda step: step.update(kind="of-the-future"),
        lambda step: step.update(parameter_of_the_future=1),
        lambda step: step.clear(),
    ],
    ids=["kind", "parameter", "nothing"],
)
def test_a_step_that_nobody_knows(
    cloud: SimulatedCloud, person: Person, options: tuple[str, ...], change: Callable[[dict[str, Any]], object]
) -> None:
    broken = take_over(cloud, BROKEN)
    take_over(cloud, OTHER)
    spoil(broken, change)
    assert f"cannot give {BROKEN} back" in person.is_told("restore", *options).message
    assert left(cloud) == [BROKEN]


def test_a_shared_record_that_cannot_be_read(cloud: SimulatedCloud, person: Person) -> None:
    take_over(cloud, BROKEN, "migrates")
    (record,) = cloud.state.glob("shared/*/record.json")
    sound = record.read_text()
    cloud.with_keystone()
    swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True, apache=True), cloud.makers)
    record.write_text("{")
    assert f"cannot give {BROKEN} back" in person.is_told("restore").message
    assert left(cloud) == [BROKEN]
    record.write_text(sound)
    person.types("devswap restore")
    assert left(cloud) == []


@pytest.mark.parametrize(
    "change",
    [lambda step: step.update(parameter_of_the_future=1), lambda step: step.pop("on"), dict.clear],
    ids=["parameter", "machine", "nothing"],
)
def test_a_step_that_moves_traffic(
    cloud: SimulatedCloud,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, Any]], object],
) -> None:
    cloud.balance()
    monkeypatch.setattr(rotation, "ANSWER_SECONDS", 0.0)
    before = cloud.machine(images.HAPROXY).read_text(CFG)
    narrowing.narrow(cloud.host(), "other", to="one", exclusive=False)
    (broken,) = cloud.host().journals.all()
    narrowed = cloud.machine(images.HAPROXY).read_text(CFG)
    take_over(cloud, OTHER)
    spoil(broken, change)
    assert "cannot give haproxy:other back" in person.is_told("restore").message
    assert left(cloud) == ["haproxy:other"]
    assert cloud.machine(images.HAPROXY).read_text(CFG) == narrowed != before
