"""What a unit leaves behind of a checkout's code ends with the swap, and what is the machine's own stays."""

from __future__ import annotations

import pytest

from devswap import leftovers, swap
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.init import Stray
from tests.simulated.person import Person
from tests.simulated.snapshot import Snapshot

SERVICE, UNIT = "heat-engine", "heat-engine.service"
OVERLAY = f"/run/devswap/{SERVICE}/1/overlay/bin"
DAEMON = Stray(UNIT, ["/usr/bin/python3", f"{OVERLAY}/neutron-keepalived-state-change"])
DNSMASQ = Stray(UNIT, ["dnsmasq", "--pid-file=/var/lib/neutron/dhcp/x/pid"])
ELSEWHERE = Stray("session-1.scope", ["less", f"{OVERLAY}/activate"])


def left(cloud: SimulatedCloud) -> list[int]:
    return sorted(cloud.machine(images.HEAT).init.strays)


def leave(cloud: SimulatedCloud, *, deaf: bool = False) -> None:
    own = Stray(DAEMON.unit, DAEMON.argv, deaf=deaf)
    cloud.machine(images.HEAT).init.strays.update({501: own, 502: DNSMASQ, 503: ELSEWHERE})


def take_over(cloud: SimulatedCloud, ref: str = "plain") -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, ref, None, None, detach=True), cloud.makers)


def test_what_runs_the_checkout_ends_with_a_restore_and_what_is_the_machines_own_stays(
    cloud: SimulatedCloud, whole: Snapshot
) -> None:
    take_over(cloud)
    leave(cloud)
    for journal in cloud.host().journals.all():
        swap.restore(cloud.host(), journal)
    assert left(cloud) == [502, 503]
    assert differences(cloud, whole) == []


def test_it_ends_with_another_checkout_and_with_another_run(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    leave(cloud)
    cloud.checkout("other")
    take_over(cloud, "other")
    assert left(cloud) == [502, 503]
    leave(cloud)
    swap.run(cloud.host(), SERVICE, None, detach=True)
    assert left(cloud) == [502, 503]


def test_what_does_not_listen_is_killed(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_MERCY", 0.0)
    leave(cloud, deaf=True)
    assert leftovers.end(cloud.machine(images.HEAT), SERVICE, UNIT) == []
    assert left(cloud) == [502, 503]


def test_without_devswap_the_same_is_typed(cloud: SimulatedCloud, person: Person) -> None:
    take_over(cloud)
    leave(cloud)
    (script,) = cloud.state.glob("swaps/*/restore.sh")
    person.types(f"sh {script}")
    assert left(cloud) == [502, 503]
