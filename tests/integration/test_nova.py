"""nova of a sandbox, whose servers are real but for the hypervisor: who has placed, made and shown each is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.added import ask, create_image, openstack
from tests.integration.cloud import Cloud, wait_until

pytestmark = [pytest.mark.sandbox, pytest.mark.added("nova"), pytest.mark.eras("current")]

_NO_NETWORK = "2.37"
FLAVOR = "integration"


@dataclass(frozen=True)
class Compute:
    """Somebody's servers."""

    cloud: Cloud
    image: str

    def ask(self, verb: str, path: str, body: object = None, *, ok: bool = True) -> Any:
        return ask(self.cloud, "compute", verb, path, body, version=_NO_NETWORK, ok=ok)

    def create(self, name: str) -> dict[str, Any]:
        """A server as its owner sees it once it is built."""
        wanted = {"name": name, "imageRef": self.image, "flavorRef": FLAVOR, "networks": "none"}
        number = self.ask("POST", "/servers", {"server": wanted})["server"]["id"]
        wait_until(lambda: self.server(number)["status"] != "BUILD", f"{name} is built")
        made = self.server(number)
        assert made["status"] == "ACTIVE", made
        return made

    def server(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/servers/{number}")["server"]
        return found

    def numbers(self) -> list[str]:
        return [server["id"] for server in self.ask("GET", "/servers")["servers"]]


@pytest.fixture
def compute(cloud: Cloud) -> Iterator[Compute]:
    """With an image and a flavor; nothing of it is left afterwards, as production's own services see to."""
    wait_until(lambda: ask(cloud, "compute", "GET", "/servers", ok=False) is not None, "nova-api answers", seconds=90)
    made = Compute(cloud, create_image(cloud, "integration"))
    flavor = {"id": FLAVOR, "name": FLAVOR, "ram": 64, "vcpus": 1, "disk": 1}
    made.ask("POST", "/flavors", {"flavor": flavor})
    yield made
    for number in made.numbers():
        made.ask("DELETE", f"/servers/{number}")
    wait_until(lambda: made.numbers() == [], "the servers are deleted")
    made.ask("DELETE", f"/flavors/{FLAVOR}")
    openstack(cloud, "image", "delete", made.image)


def test_production_builds_a_server(compute: Compute) -> None:
    made = compute.create("red")
    assert (made["name"], made["metadata"]) == ("red", {})


def test_what_pretends_to_be_a_hypervisor_is_known_to_the_cell(compute: Compute) -> None:
    (hypervisor,) = compute.ask("GET", "/os-hypervisors/detail")["hypervisors"]
    assert (hypervisor["hypervisor_type"], hypervisor["state"]) == ("fake", "up")
    assert "nova-compute" in json.dumps(compute.ask("GET", "/os-services"))
