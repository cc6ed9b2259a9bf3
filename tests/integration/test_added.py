"""Services that a sandbox has if it is asked for them, each asked through HAProxy for what its users ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devswap.sandbox.additions import ADDITIONS
from devswap.sandbox.changes import HARMLESS
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk

pytestmark = pytest.mark.sandbox

_OPENSTACK = '. /root/openrc; exec openstack "$@"'
# The client for placement is a plugin that no sandbox has.
_ASK_PLACEMENT = """
import json, sys, openstack
verb, path, *body = sys.argv[1:]
session = openstack.connect(cloud="default").session
more = {"json": json.loads(body[0])} if body else {}
asked = {"service_type": "placement", "interface": "internal"}
print(session.request(path, verb, endpoint_filter=asked, raise_exc=True, **more).text)
"""


@contextmanager
def whole(cloud: Cloud, desk: Desk, project: str) -> Iterator[str]:
    """The container of what was added, with its service swapped no more and production as it was afterwards."""
    service, container = ADDITIONS[project].apis[0].unit, cloud.container(f"-{project}-")
    before = cloud.look_at(project, service, container)
    try:
        yield container
    finally:
        left = clouds.swaps(desk.devswap("status", "--json").stdout)
        if any((swap["service"], swap["machine"]) == (service, f"lxc:{container}") for swap in left):
            desk.devswap("restore", service, "--machine", container, "--take-over")
    assert clouds.differences(before, cloud.look_at(project, service, container)) == []


def take_over(cloud: Cloud, desk: Desk, project: str, container: str) -> str:
    """By what the change shows itself."""
    service, change = ADDITIONS[project].apis[0].unit, cloud.change(HARMLESS, project)
    took = desk.devswap("checkout", service, f"review/{change.number}", "--machine", container, "--detach")
    assert f"{service} answers from review/{change.number}" in took.said
    return change.patchsets[-1].shows


def give_back(desk: Desk, project: str, container: str) -> None:
    assert "facts identical" in desk.devswap("restore", ADDITIONS[project].apis[0].unit, "--machine", container).said


@pytest.fixture
def images(cloud: Cloud) -> Iterator[None]:
    """Those of a test are gone afterwards."""
    wait_until(lambda: openstack(cloud, "image", "list", ok=False) is not None, "glance-api answers through HAProxy")
    yield
    if names := image_names(cloud):
        openstack(cloud, "image", "delete", *names)


def openstack(cloud: Cloud, *argv: str, ok: bool = True) -> str | None:
    """What the client prints; None where it fails, which it must not unless `ok` is false."""
    ran = cloud.run(["sh", "-c", _OPENSTACK, "sh", *argv], on=cloud.container("-utility-"), ok=ok)
    return ran.stdout.strip() if ran.code == 0 else None


def image_names(cloud: Cloud) -> dict[str, str]:
    """The name of each image by its number, as a user's `openstack image list` shows them."""
    lines = (openstack(cloud, "image", "list", "-f", "value", "-c", "ID", "-c", "Name") or "").splitlines()
    return {number: name for number, _, name in (line.partition(" ") for line in lines)}


def create_image(cloud: Cloud, name: str) -> str:
    made = openstack(cloud, "image", "create", "--file", "/etc/hostname", "-f", "value", "-c", "id", name)
    assert made
    return made


@pytest.mark.added("glance")
@pytest.mark.usefixtures("images")
def test_images_are_listed_and_stored_by_the_checkout_and_by_production_again(cloud: Cloud, desk: Desk) -> None:
    with whole(cloud, desk, "glance") as container:
        first = create_image(cloud, "red")
        assert image_names(cloud) == {first: "red"}
        shown = take_over(cloud, desk, "glance", container)
        second = create_image(cloud, "blue")
        assert image_names(cloud) == {first: f"red ({shown})", second: f"blue ({shown})"}
        give_back(desk, "glance", container)
        assert image_names(cloud) == {first: "red", second: "blue"}
        said = openstack(cloud, "image", "save", "--file", "/dev/stdout", second)
        assert said == cloud.sh("cat /etc/hostname", on=cloud.container("-utility-"))


def ask_placement(cloud: Cloud, verb: str, path: str, body: object = None) -> str:
    python = cloud.sh("readlink -f /usr/local/bin/openstack", on=cloud.container("-utility-")).rpartition("/")[0]
    more = [json.dumps(body)] if body is not None else []
    argv = [f"{python}/python", "-c", _ASK_PLACEMENT, verb, path, *more]
    return cloud.run(argv, on=cloud.container("-utility-")).stdout.strip()


@pytest.fixture
def provider(cloud: Cloud) -> Iterator[str]:
    """A resource provider of this test, which production's placement has made."""
    number = "5f0c1a52-7c1a-4f5e-9d0f-3a2b1c4d5e6f"
    ask_placement(cloud, "POST", "/resource_providers", {"name": "blue", "uuid": number})
    yield number
    ask_placement(cloud, "DELETE", f"/resource_providers/{number}")


@pytest.mark.added("placement")
@pytest.mark.eras("current")
def test_resource_providers_are_shown_by_the_checkout_and_by_production_again(
    cloud: Cloud, desk: Desk, provider: str
) -> None:
    def change() -> str | None:
        read = json.loads(ask_placement(cloud, "GET", "/resource_providers"))["resource_providers"]
        (found,) = [each for each in read if each["uuid"] == provider]
        changed: str | None = found.get("change")
        return changed

    with whole(cloud, desk, "placement") as container:
        assert change() is None
        shown = take_over(cloud, desk, "placement", container)
        assert change() == shown
        give_back(desk, "placement", container)
        assert change() is None
