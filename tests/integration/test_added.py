"""Services that a sandbox has if it is asked for them, each asked through HAProxy for what its users ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.added import ask, create_image, give_back, openstack, take_over, whole
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk

pytestmark = pytest.mark.sandbox


@pytest.fixture
def images(cloud: Cloud) -> Iterator[None]:
    """Those of a test are gone afterwards."""
    wait_until(lambda: openstack(cloud, "image", "list", ok=False) is not None, "glance-api answers through HAProxy")
    yield
    if names := image_names(cloud):
        openstack(cloud, "image", "delete", *names)


def image_names(cloud: Cloud) -> dict[str, str]:
    """The name of each image by its number, as a user's `openstack image list` shows them."""
    lines = (openstack(cloud, "image", "list", "-f", "value", "-c", "ID", "-c", "Name") or "").splitlines()
    return {number: name for number, _, name in (line.partition(" ") for line in lines)}


@pytest.mark.added("glance")
@pytest.mark.usefixtures("images")
def test_images_are_listed_and_stored_by_the_checkout_and_by_production_again(cloud: Cloud, desk: Desk) -> None:
    with whole(cloud, desk, "glance", ["glance-api"]) as container:
        first = create_image(cloud, "red")
        assert image_names(cloud) == {first: "red"}
        shown = take_over(cloud, desk, "glance-api", container)
        second = create_image(cloud, "blue")
        assert image_names(cloud) == {first: f"red ({shown})", second: f"blue ({shown})"}
        give_back(desk, "glance-api", container)
        assert image_names(cloud) == {first: "red", second: "blue"}
        said = openstack(cloud, "image", "save", "--file", "/dev/stdout", second)
        assert said == cloud.sh("cat /etc/hostname", on=cloud.container("-utility-"))


@pytest.fixture
def provider(cloud: Cloud) -> Iterator[str]:
    """A resource provider of this test, which production's placement has made."""
    number = "5f0c1a52-7c1a-4f5e-9d0f-3a2b1c4d5e6f"
    ask(cloud, "placement", "POST", "/resource_providers", {"name": "blue", "uuid": number})
    yield number
    ask(cloud, "placement", "DELETE", f"/resource_providers/{number}")


@pytest.mark.added("placement")
@pytest.mark.eras("current")
def test_resource_providers_are_shown_by_the_checkout_and_by_production_again(
    cloud: Cloud, desk: Desk, provider: str
) -> None:
    def change() -> str | None:
        read = ask(cloud, "placement", "GET", "/resource_providers")["resource_providers"]
        (found,) = [each for each in read if each["uuid"] == provider]
        changed: str | None = found.get("change")
        return changed

    with whole(cloud, desk, "placement", ["placement-api"]) as container:
        assert change() is None
        shown = take_over(cloud, desk, "placement-api", container)
        assert change() == shown
        give_back(desk, "placement-api", container)
        assert change() is None
