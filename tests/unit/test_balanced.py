"""Swaps of a service that HAProxy sends requests to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devswap import rotation, swap
from devswap.errors import DevswapError, NotWhole
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine
from tests.simulated.person import Person, commands
from tests.unit.balanced import CFG, FRAGMENT, SERVICE, checkout, cloud, machine, narrow, restore, serving
from tests.unit.midst import in_the_midst_of

__all__ = ["cloud", "machine"]


def test_development_gets_the_requests_and_production_gets_them_back(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    checkout(cloud)
    assert serving(cloud) == [images.OURS]
    assert cloud.haproxy.servers[images.THEIRS].backup
    restore(cloud)
    assert differences(cloud, before) == []


def test_no_request_finds_nobody_at_any_instant_of_a_swap(cloud: SimulatedCloud) -> None:
    """Whoever HAProxy sends the next request to answers, between any two changes that devswap makes."""
    silent = []

    def look(what: str) -> None:
        for key in serving(cloud) or ["nobody"]:
            try:
                cloud.greeting(f"{cloud.haproxy.servers[key].address}:8004", tls=False)
            except (KeyError, ConnectionRefusedError):
                silent.append(f"{key} {what}")

    cloud.calls.begin(instant=look)
    for ref in ("plain", "other", "dies"):
        try:
            checkout(cloud, ref)
        except DevswapError:
            assert ref == "dies"
        cloud.calls.begin(instant=look)
    checkout(cloud, "plain")
    swap.run(cloud.host(), SERVICE, None, detach=True)
    restore(cloud)
    assert silent == []


def test_without_narrowing_the_peers_go_on_beside_development(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    checkout(cloud, narrow=False)
    assert sorted(serving(cloud)) == sorted([images.OURS, images.THEIRS])
    restore(cloud)
    assert differences(cloud, before) == []


@pytest.mark.parametrize("breakpoints", [None, True])
def test_haproxy_waits_for_a_person_only_where_one_is(
    cloud: SimulatedCloud,
    machine: SimulatedMachine,
    breakpoints: bool | None,  # noqa: FBT001
) -> None:
    checkout(cloud, breakpoints=breakpoints)
    text = machine.read_text(CFG) or ""
    assert ("timeout server 1h" in text, "fall 300" in text) == (breakpoints is True, breakpoints is True)
    assert "timeout server 50s" in text
    restore(cloud)


def test_the_outage_that_is_told_lasts_until_haproxy_sends_requests_again(cloud: SimulatedCloud) -> None:
    seen: dict[str, list[str]] = {}

    def say(line: str) -> None:
        seen[line.partition("; ")[0]] = serving(cloud)

    host = replace(cloud.host(), say=say)
    swap.checkout(host, Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    assert seen[f"{SERVICE} answers from plain"] == [images.OURS]
    seen.clear()
    swap.run(host, SERVICE, None, detach=True)
    assert seen[f"{SERVICE} answers from plain"] == [images.OURS]
    restore(cloud)


def test_a_run_on_a_terminal_has_patience_and_its_end_gives_the_requests_to_the_peers(
    cloud: SimulatedCloud, machine: SimulatedMachine
) -> None:
    seen = []
    before = cloud.take()
    cloud.calls.begin(instant=lambda _: seen.append((serving(cloud), b"1h" in (machine.files.read(CFG) or b""))))
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=False), cloud.makers)
    assert ([images.OURS], True) in seen
    assert serving(cloud) == [images.THEIRS]
    assert "timeout server 1h" not in (machine.read_text(CFG) or "")
    restore(cloud)
    assert differences(cloud, before) == []


def test_a_swap_within_a_narrowing_may_be_restored_before_it_or_after_it(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    for first in (SERVICE, f"haproxy:{SERVICE}"):
        narrow(cloud)
        checkout(cloud)
        host = cloud.host()
        for journal in sorted(host.journals.all(), key=lambda each: each.swap.service != first):
            swap.restore(host, journal)
        assert differences(cloud, before) == []


def test_plan_says_how_the_requests_will_move(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    planned = swap.plan(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    said = [step["do"] for step in planned.steps if step["do"].startswith("HAProxy")]
    assert said == [
        f"HAProxy: {images.OURS} is drained and taken out",
        f"HAProxy: {images.OURS} takes the traffic, {images.THEIRS} is a backup",
    ]
    assert differences(cloud, before) == []


def test_a_broken_haproxy_does_not_keep_production_stopped(cloud: SimulatedCloud, machine: SimulatedMachine) -> None:
    before = cloud.take()
    checkout(cloud)
    sound = machine.read_text(CFG) or ""
    machine.write_text(CFG, sound + "nonsense\n")
    with pytest.raises(NotWhole, match="an error that is not devswap's"):
        restore(cloud)
    heat = cloud.machine(images.HEAT)
    assert heat.init.units["heat-api.service"].argv[0] == images.UWSGI
    assert cloud.haproxy.servers[images.OURS].usable
    machine.write_text(CFG, (machine.read_text(CFG) or "").removesuffix("nonsense\n"))
    restore(cloud)
    assert differences(cloud, before) == []


def test_a_stopped_haproxy_does_not_keep_production_stopped(cloud: SimulatedCloud, machine: SimulatedMachine) -> None:
    checkout(cloud)
    machine.state.running = False
    with pytest.raises(NotWhole, match="is stopped"):
        restore(cloud)
    assert cloud.machine(images.HEAT).init.units["heat-api.service"].argv[0] == images.UWSGI


def test_what_could_not_be_put_back_while_haproxy_was_stopped_is_put_back_by_the_restore(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    checkout(cloud)
    cloud.machine(images.HAPROXY).halt()
    checkout(cloud, "other")
    cloud.machine(images.HAPROXY).boot()
    assert serving(cloud) == [images.OURS]
    restore(cloud)
    assert differences(cloud, before) == []


def test_a_peer_whose_line_others_changed_is_put_back_when_that_is_mended(
    cloud: SimulatedCloud, machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Production comes back before; and development that is started again meanwhile gets its requests."""
    person, before = Person(cloud, monkeypatch), cloud.take()
    checkout(cloud)
    ours = machine.read_text(CFG) or ""
    machine.write_text(CFG, ours.replace("fall 3 backup", "fall 7 backup"))
    person.types(f"devswap run {SERVICE} --detach")
    assert serving(cloud) == [images.OURS]
    for _ in range(2):
        told = person.is_told("restore")
        assert cloud.machine(images.HEAT).init.units["heat-api.service"].argv[0] == images.UWSGI
        assert "--keep-theirs" in (told.hint or "")
        assert images.OURS in serving(cloud)
    with pytest.raises(DevswapError, match="moved already"):
        narrow(cloud)
    machine.write_text(CFG, (machine.read_text(CFG) or "").replace("fall 7 backup", "fall 3 backup"))
    person.types(commands(told.hint)[1])
    assert differences(cloud, before) == []


def test_a_haproxy_that_is_gone_has_taken_its_part_along(cloud: SimulatedCloud) -> None:
    for made in (checkout, narrow):
        made(cloud)
        del cloud.world.machines[images.HAPROXY]
        restore(cloud)
        assert cloud.host().journals.all() == []
        cloud.balance()


def test_a_line_that_somebody_changes_while_its_requests_end_gets_no_word_of_ours(
    cloud: SimulatedCloud, machine: SimulatedMachine, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back that is on disk is that of the line before: what was made of theirs, nothing would take out."""

    def playbook() -> None:
        text = machine.read_text(CFG) or ""
        machine.write_text(CFG, text.replace("172.29.236.130:8004 check", "172.29.236.130:8004 weight 7 check"))

    with in_the_midst_of(monkeypatch, rotation, "drain", playbook) as done, pytest.raises(NotWhole) as told:
        checkout(cloud)
    assert done
    assert "disabled" not in (machine.read_text(CFG) or "")
    assert cloud.machine(images.HEAT).init.is_active(f"{SERVICE}.service")
    leaves, *_ = commands(told.value.hint)
    assert "--keep-theirs" in leaves
    person.types(leaves)
    assert sorted(serving(cloud)) == sorted([images.OURS, images.THEIRS])
    assert "weight 7" in (machine.read_text(CFG) or "")


def test_a_server_that_somebody_adds_meanwhile_is_nobodys_fault(
    cloud: SimulatedCloud, machine: SimulatedMachine
) -> None:
    checkout(cloud)
    for path in (CFG, FRAGMENT):
        text = machine.read_text(path) or ""
        machine.write_text(path, text.replace("    # both", "    server new 10.0.9.9:8004 check\n    # both"))
    cloud.haproxy.load(machine.read_text)
    host = cloud.host()
    (restored,) = [swap.restore(host, journal) for journal in host.journals.all()]
    new = f"haproxy {images.BACKEND}/new: was absent, is active; loaded as active; ready; weight 1"
    assert new in restored.changed_by_others
    assert sorted(serving(cloud)) == sorted([images.OURS, images.THEIRS, f"{images.BACKEND}/new"])


@pytest.mark.parametrize("narrow", [True, False])
def test_a_peer_that_somebody_has_put_into_maintenance_meanwhile_stays_there(
    cloud: SimulatedCloud,
    narrow: bool,  # noqa: FBT001
) -> None:
    checkout(cloud, narrow=narrow)
    cloud.haproxy.servers[images.THEIRS].admin = 1
    host = cloud.host()
    (restored,) = [swap.restore(host, journal) for journal in host.journals.all()]
    was = "active; loaded as active; {}; weight 1"
    assert restored.changed_by_others == [
        f"haproxy {images.THEIRS}: was {was.format('ready')}, is {was.format('maint')}"
    ]
    assert serving(cloud) == [images.OURS]


def test_what_somebody_has_ordered_at_run_time_meanwhile_stays_by_the_line_that_is_printed(
    cloud: SimulatedCloud, person: Person
) -> None:
    checkout(cloud)
    cloud.haproxy.servers[images.THEIRS].weight = 50
    again, leave = commands(person.is_told("restore").hint)
    assert person.is_told(*again.split()[1:]).hint
    person.types(leave)
    assert cloud.haproxy.servers[images.THEIRS].weight == 50
    assert cloud.host().journals.all() == []
