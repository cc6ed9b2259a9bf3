"""What goes on without a service, and what does not, is said while production serves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devswap import interruption, meant, swap
from devswap.service import Catalogue, load_catalogue
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud

SERVICE, UNIT = "heat-engine", "heat-engine.service"
WISH = Wish(SERVICE, "plain", None, None, detach=True)
ENGINE = replace(load_catalogue().get(SERVICE), outage="stacks stay as they are", starts=("dnsmasq", "haproxy"))


def with_kill_mode(cloud: SimulatedCloud, mode: str) -> None:
    images.put(
        cloud.machine(images.HEAT).files, f"/etc/systemd/system/{UNIT}.d/kill.conf", f"[Service]\nKillMode={mode}\n"
    )
    cloud.machine(images.HEAT).run(["systemctl", "daemon-reload"])


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("process", f"what it has started (dnsmasq, haproxy) goes on meanwhile: {UNIT} has KillMode=process"),
        (
            "mixed",
            "what it has started (dnsmasq, haproxy) ends whenever it is stopped, and whoever runs next starts it again:"
            f" {UNIT} has KillMode=mixed",
        ),
    ],
)
def test_what_it_has_started_ends_or_goes_on_as_its_unit_has_it(cloud: SimulatedCloud, mode: str, said: str) -> None:
    with_kill_mode(cloud, mode)
    deployment = meant.examined(meant.locate_place(cloud.host(), WISH), None)
    lines = list(interruption.told(replace(deployment, service=ENGINE)))
    assert lines == [f"while nobody runs {SERVICE}: stacks stay as they are", said]


def test_a_plan_and_a_checkout_say_so_and_nothing_of_what_is_only_asked(cloud: SimulatedCloud) -> None:
    told = f"while nobody runs {SERVICE}: stacks stay as they are"
    swap.plan(cloud.host(), WISH, cloud.makers)
    assert not any("while nobody runs" in line for line in cloud.said)
    host = replace(cloud.host(), catalogue=lambda: Catalogue([*load_catalogue(), ENGINE]))
    swap.plan(host, WISH, cloud.makers)
    assert told in cloud.said
    cloud.said.clear()
    swap.checkout(host, WISH, cloud.makers)
    assert cloud.said.index(told) < next(number for number, line in enumerate(cloud.said) if "stopping" in line)


def test_each_agent_of_neutron_says_what_its_networks_miss() -> None:
    known = [each for each in load_catalogue() if each.project == "neutron" and each.name.endswith("-agent")]
    agents = [each for each in known if not each.unsupported]
    assert len(agents) == 8
    assert all(each.outage for each in agents)
