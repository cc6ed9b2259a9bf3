"""A service narrowed to one server without a swap, and swaps of a service that HAProxy sends requests to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import narrowing, rotation, status, swap
from devswap.errors import DevswapError, NotWhole, UsageError
from devswap.journal import Journal
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine
from tests.simulated.person import Person, Presses, commands

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


# --- narrow and widen ------------------------------------------------------------------------------------------------


def test_a_service_is_shown_as_haproxy_sees_it(cloud: SimulatedCloud) -> None:
    ours, theirs = narrowing.show(cloud.host(), SERVICE)
    assert (ours.server, ours.machine, ours.role, ours.state) == (images.HEAT, f"lxc:{images.HEAT}", "active", "UP")
    assert (theirs.server, theirs.machine, theirs.address) == ("aio1-heat-peer", "", f"{images.PEER}:8004")
    assert [line.server for line in narrowing.show(cloud.host(), "other")] == ["one", "two"]


def test_one_that_was_killed_before_it_changed_anything_is_forgotten(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    narrow(cloud)
    (journal,) = cloud.host().journals.all()
    widen(cloud)
    Journal.create(journal.folder, replace(journal.swap, mode="preparing"))
    narrow(cloud)
    widen(cloud)
    assert differences(cloud, whole) == []


def test_a_narrowed_service_is_shown_and_widened_again(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    done = narrow(cloud)
    assert (done.to, done.others) == (f"lxc:{images.HEAT}", [images.THEIRS])
    assert serving(cloud) == [images.OURS]
    (journal,) = cloud.host().journals.all()
    shown = status.of(cloud.host(), journal)
    assert (shown.service, shown.state, shown.serving, shown.healthy) == (f"haproxy:{SERVICE}", "narrowed", True, True)
    cloud.haproxy.servers[images.OURS].up = False
    assert "its backups take the traffic" in status.of(cloud.host(), journal).why
    cloud.haproxy.servers[images.OURS].up = True
    assert widen(cloud) > 4
    assert differences(cloud, before) == []


def test_exclusive_means_that_nobody_stands_by(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    narrow(cloud, exclusive=True)
    cloud.haproxy.servers[images.OURS].up = False
    assert serving(cloud) == []
    cloud.haproxy.servers[images.OURS].up = True
    restore(cloud)
    assert differences(cloud, before) == []


def test_two_services_in_one_file_are_widened_in_either_order(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    for first, second in ((SERVICE, "other"), ("other", SERVICE)):
        narrow(cloud)
        narrowing.narrow(cloud.host(), "other", to="one", exclusive=False)
        widen(cloud, first)
        assert len(cloud.haproxy.serving("other-back")) == (1 if first == SERVICE else 2)
        widen(cloud, second)
        assert differences(cloud, before) == []


def test_a_backend_is_narrowed_once(cloud: SimulatedCloud) -> None:
    narrow(cloud)
    with pytest.raises(DevswapError, match="moved already") as refused:
        narrowing.narrow(cloud.host(), images.BACKEND, to="aio1-heat-peer", exclusive=False)
    assert refused.value.hint == f"devswap haproxy widen {SERVICE}"


def test_who_is_meant_must_be_said_where_there_are_several(cloud: SimulatedCloud) -> None:
    with pytest.raises(UsageError, match="has 2 servers"):
        narrowing.narrow(cloud.host(), SERVICE, to=None, exclusive=False)
    with pytest.raises(UsageError, match="no server of other"):
        narrowing.narrow(cloud.host(), "other", to="three", exclusive=False)
    with pytest.raises(DevswapError, match="no HAProxy"):
        narrowing.show(cloud.host(), "nova")
    with pytest.raises(DevswapError, match="is not narrowed"):
        narrowing.find(cloud.host(), SERVICE)


def test_a_swapped_service_is_narrowed_to_where_it_is_swapped(cloud: SimulatedCloud) -> None:
    checkout(cloud, narrow=False)
    with pytest.raises(DevswapError, match="moved already"):  # but it is known whom to narrow it to
        narrowing.narrow(cloud.host(), SERVICE, to=None, exclusive=False)


def test_an_error_in_the_file_refuses_a_narrowing_with_nothing_changed(
    cloud: SimulatedCloud, machine: SimulatedMachine
) -> None:
    machine.write_text(CFG, (machine.read_text(CFG) or "") + "nonsense\n")
    before = cloud.take()
    for refused in (narrow, checkout):
        with pytest.raises(DevswapError, match="not devswap's"):
            refused(cloud)
        assert differences(cloud, before) == []


def test_a_line_that_others_changed_is_exit_3_until_it_is_mended(
    cloud: SimulatedCloud, machine: SimulatedMachine
) -> None:
    before = cloud.take()
    narrow(cloud)
    ours = machine.read_text(CFG) or ""
    machine.write_text(CFG, ours.replace("fall 3 backup", "fall 7 backup"))
    with pytest.raises(NotWhole, match="was changed by somebody else") as stopped:
        widen(cloud)
    assert f"restore haproxy:{SERVICE} --keep-theirs {machine.address}:{CFG}" in (stopped.value.hint or "")
    machine.write_text(CFG, ours)
    widen(cloud)
    assert differences(cloud, before) == []


@pytest.mark.parametrize("changed", [(CFG,), (CFG, FRAGMENT)])
def test_a_line_that_others_changed_stays_if_that_is_typed(
    cloud: SimulatedCloud, machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch, changed: tuple[str, ...]
) -> None:
    person = Person(cloud, monkeypatch)
    narrow(cloud)
    for path in changed:
        machine.write_text(path, (machine.read_text(path) or "").replace("fall 3 backup", "fall 7 backup"))
    theirs = machine.read_text(CFG)
    keep, *_ = commands(person.is_told("restore").hint)
    person.types(keep)
    assert machine.read_text(CFG) == theirs
    assert cloud.host().journals.all() == []


def test_nothing_narrowed_is_widened_at_once(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    person = Person(cloud, monkeypatch)
    for name in (SERVICE, "other-back"):
        person.types(f"devswap haproxy widen {name}")
        assert f"{name} is not narrowed" in capsys.readouterr().out
        person.types(f"devswap restore haproxy:{name}")
        assert f"haproxy:{name} is not narrowed" in capsys.readouterr().out
    for line in (("haproxy", "widen", "heat-ap"), ("restore", "haproxy:heat-ap")):
        assert "did you mean heat-api" in (person.is_told(*line, code=2).hint or "")


def test_ctrl_c_and_more_of_it_leave_haproxy_as_it_was(cloud: SimulatedCloud) -> None:
    """Pressed at each instant of a narrowing, and at each of its way back."""
    before, number = cloud.take(), 0
    while True:
        cloud.calls.begin(instant=Presses(number))
        try:
            narrow(cloud, exclusive=True)
        except KeyboardInterrupt:
            assert differences(cloud, before) == [], number
            assert cloud.host().journals.all() == []
            number += 1
        else:
            break
    cloud.calls.begin()
    assert number > 3
    assert "this cannot be interrupted" in "".join(cloud.said)


# --- swaps -----------------------------------------------------------------------------------------------------------


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


def test_servers_on_one_machine_are_told_apart_by_their_names(cloud: SimulatedCloud, machine: SimulatedMachine) -> None:
    """A loopback's address is HAProxy's own machine, whatever other machines have such an address."""
    text = (
        (machine.read_text(CFG) or "").replace("10.9.9.1:80", "127.0.0.1:9001").replace("10.9.9.2:80", "127.0.0.1:9002")
    )
    machine.write_text(CFG, text)
    machine.run(["systemctl", "reload", "--", "haproxy.service"])
    shown = narrowing.show(cloud.host(), "other")
    assert [line.machine for line in shown] == [f"lxc:{images.HAPROXY}"] * 2
    assert narrowing.narrow(cloud.host(), "other", to="two", exclusive=False).to == "two"
    assert cloud.haproxy.serving("other-back") == ["other-back/two"]


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
