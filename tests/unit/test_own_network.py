"""Where the kernel gives a container's units no network of their own: Linux before 6.2 with AppArmor."""

from __future__ import annotations

import pytest

from devswap import own_network, swap, systemd, unit_tests
from devswap.errors import CommandFailed
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.snapshot import Snapshot

SERVICE = "heat-engine"
APART = {"PrivateTmp": "yes", own_network.PRIVATE: "yes"}


@pytest.fixture
def cloud(cloud: SimulatedCloud) -> SimulatedCloud:
    cloud.machine(images.HEAT).state.gives_networks = False
    return cloud


def test_a_checkout_is_imported_all_the_same_and_its_tests_run(cloud: SimulatedCloud, whole: Snapshot) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    assert cloud.machine(images.HEAT).init.is_active(f"{SERVICE}.service")
    assert unit_tests.run(cloud.host(), SERVICE, None, ["fails"], ref="plain", runner=None, makers=cloud.makers) == 3
    assert [words[-1] for words in cloud.tested] == ["fails"]
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_its_addresses_keep_such_a_unit_from_the_network(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.HEAT)
    result = systemd.run_in_unit(machine, "devswap-x.service", ["cat"], properties=APART, input="asked\n")
    assert result.stdout == "asked\n"
    assert "--property=PrivateTmp=yes" in result.argv
    assert {"--property=IPAddressDeny=any", "--property=IPAddressAllow=localhost"} <= set(result.argv)
    assert not any(own_network.PRIVATE in word for word in result.argv)


def test_a_failure_of_its_own_is_not_tried_again(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.HEAT)
    machine.state.gives_networks = True
    cloud.calls.begin()
    with pytest.raises(CommandFailed):
        systemd.run_in_unit(machine, "devswap-x.service", ["no-such-program"], properties=APART)
    assert len([name for name in cloud.calls.names if "systemd-run" in name]) == 1


@pytest.mark.parametrize(
    ("properties", "code", "said", "again"),
    [
        (APART, 225, "", True),
        (APART, 1, "Job for devswap-x.service failed because the control process exited with error code.\n", True),
        (APART, 1, "Traceback (most recent call last):\n", False),
        (APART, 226, "", False),
        ({"PrivateTmp": "yes"}, 225, "", False),
    ],
)
def test_it_is_told_by_what_systemd_says(properties: dict[str, str], code: int, said: str, *, again: bool) -> None:
    assert (own_network.otherwise(properties, code, said) is not None) == again
