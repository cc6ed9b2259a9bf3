"""A swap that cannot be read fails by itself: all others are given back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from devswap import foreseen, narrowing, rotation, swap
from devswap.discovery import units
from devswap.errors import DevswapError
from devswap.journal import Journal
from devswap.service import load_catalogue
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


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize(
    "change",
    [lambda step: step.update(kind="of-the-future"), lambda step: step.update(parameter_of_the_future=1), dict.clear],
    ids=["kind", "parameter", "nothing"],
)
def test_others_are_shown_and_taken_over_beside_it(
    cloud: SimulatedCloud,
    person: Person,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], object],
    *,
    patient: bool,
) -> None:
    spoil(take_over(cloud, BROKEN), change)
    swap.checkout(cloud.host(), Wish(OTHER, "plain", None, None, detach=True, patient=patient), cloud.makers)
    person.types("devswap status")
    shown = capsys.readouterr().out
    assert f"{OTHER} in lxc:{images.HEAT}: running" in shown
    assert f"{BROKEN} in lxc:{images.HEAT}: " in shown
    person.types(f"devswap run {OTHER} --detach")
    person.types(f"devswap restore {OTHER}")
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


def test_a_second_application_of_an_apache_is_refused_until_the_first_is_given_back(cloud: SimulatedCloud) -> None:
    cloud.with_keystone()
    spoil(take_over(cloud, BROKEN), dict.clear)
    (place,) = units.find([load_catalogue().get("keystone")], [cloud.machine(images.KEYSTONE)])
    deployment = units.examine(place)
    foreseen.require_own_sites(cloud.host(), deployment)
    take_over(cloud, "keystone")
    with pytest.raises(DevswapError, match=r"lends its sites to keystone, and can do so once") as refused:
        foreseen.require_own_sites(cloud.host(), deployment)
    assert refused.value.hint == "devswap restore keystone, then check out again"
