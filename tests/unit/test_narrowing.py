"""A service narrowed to one server without a swap."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devswap import narrowing, status
from devswap.errors import DevswapError, NotWhole, UsageError
from devswap.journal import Journal
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine
from tests.simulated.person import Person, Presses, commands
from tests.unit.balanced import CFG, FRAGMENT, SERVICE, checkout, cloud, machine, narrow, restore, serving, widen

__all__ = ["cloud", "machine"]


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
