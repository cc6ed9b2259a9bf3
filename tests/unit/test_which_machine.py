"""A machine that nobody knows is no reason to say that production runs everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devswap import dump, locate, logs, session, swap, traffic
from devswap.errors import DevswapError, UsageError
from devswap.logs import Wanted
from devswap.machine import Machine
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.person import Person


def test_a_restore_in_a_machine_without_a_swap_names_those_that_have_one(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    person.types("devswap restore --machine typo")
    assert "nothing is swapped" in capsys.readouterr().out
    swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    told = person.is_told("restore", "--machine", "typo", code=2)
    assert told.message == "there is no machine typo that runs"
    assert f"lxc:{images.HEAT}" in (told.hint or "")
    person.types(f"devswap restore --machine {images.GALERA}")
    assert f"nothing is swapped in {images.GALERA}" in capsys.readouterr().out
    person.types(f"devswap restore --machine {images.HEAT[:9]}")
    assert cloud.host().journals.all() == []


@pytest.mark.parametrize("wanted", ["local", "local:"])
def test_this_host_is_a_machine_with_a_name(cloud: SimulatedCloud, wanted: str) -> None:
    swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    (journal,) = cloud.host().journals.all()
    assert not locate.is_meant(journal, wanted)
    journal.swap = replace(journal.swap, machine="local:")
    assert locate.is_meant(journal, wanted)
    assert traffic.matches("local:", wanted)
    assert not locate.is_meant(journal, images.HEAT)


def test_a_host_that_cannot_list_its_machines_restores_all_the_same(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the bindings of LXC a journal is enough."""
    swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)

    def unknown() -> list[Machine]:
        raise DevswapError("there are no bindings")

    monkeypatch.setattr(session, "open_host_to_restore", lambda: replace(cloud.host(), running=unknown))
    told = person.is_told("restore", "--machine", "typo", code=2)
    assert "no machine typo" in told.message
    person.types("devswap restore")
    assert cloud.host().journals.all() == []


def test_what_is_swapped_in_several_machines_is_asked_of_the_one_that_is_named(cloud: SimulatedCloud) -> None:
    cloud.with_keystone()
    second = f"{images.KEYSTONE}-2"
    cloud.boot(second, images.keystone())
    for machine in (images.KEYSTONE, second):
        swap.checkout(cloud.host(), Wish("keystone", "plain", machine, None, detach=True), cloud.makers)
    for named in (None, images.KEYSTONE[:9]):
        with pytest.raises(UsageError, match="keystone is swapped in") as caught:
            dump.of(cloud.host(), "keystone", named)
        assert caught.value.hint == f"say which: --machine {images.KEYSTONE}"
        with pytest.raises(UsageError, match="keystone is swapped in"):
            logs.show(cloud.host(), "keystone", named, Wanted(lines=7))
    for machine in (images.KEYSTONE, second):
        assert locate.swap(cloud.host(), "keystone", machine).swap.machine == f"lxc:{machine}"
    for journal in cloud.host().journals.all():
        swap.restore(cloud.host(), journal)


@pytest.mark.parametrize("verb", ["attach", "exec", "edit", "run"])
def test_what_is_no_service_is_told_with_near_names(cloud: SimulatedCloud, person: Person, verb: str) -> None:
    more = {"exec": ("--", "true"), "edit": ("heat.conf",)}.get(verb, ())
    told = person.is_told(verb, "heat-engin", *more, code=2)
    assert (told.message, told.hint) == (
        "unknown service 'heat-engin'",
        "did you mean heat-engine or heat-api or heat-api-cfn?",
    )
