"""What tests of services that a sandbox has besides do with them: ask them as their users do, and take them over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from devswap.sandbox.changes import HARMLESS
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud
from tests.integration.people import Desk

_OPENSTACK = '. /root/openrc; exec openstack "$@"'
# The client's commands are plugins that no sandbox has, or ask more than what a test is about.
_ASK = """
import json, sys, openstack
kind, version, verb, path, *body = sys.argv[1:]
session = openstack.connect(cloud="default").session
more = {"json": json.loads(body[0])} if body else {}
if version:
    more["microversion"] = version
asked = {"service_type": kind, "interface": "internal"}
print(session.request(path, verb, endpoint_filter=asked, raise_exc=True, **more).text)
"""


@contextmanager
def whole(cloud: Cloud, desk: Desk, project: str, units: Sequence[str], kind: str = "") -> Iterator[str]:
    """The container of these units, with nothing in it swapped any more and production as it was afterwards.

    It is named after its kind, or its project.
    """
    container = cloud.container(f"-{kind or project}-")
    before = [cloud.look_at(project, unit, container) for unit in units]
    try:
        yield container
    finally:
        left = clouds.swaps(desk.devswap("status", "--json").stdout)
        for swap in [swap for swap in left if swap["machine"] == f"lxc:{container}"]:
            desk.devswap("restore", swap["service"], "--machine", container, "--take-over")
    for unit, look in zip(units, before, strict=True):
        assert clouds.differences(look, cloud.look_at(project, unit, container)) == []


def take_over(cloud: Cloud, desk: Desk, service: str, container: str, purpose: str = HARMLESS) -> str:
    """By what the change shows itself."""
    change = cloud.change(purpose, service.partition("-")[0])
    took = desk.devswap("checkout", service, f"review/{change.number}", "--machine", container, "--detach")
    assert f"from review/{change.number}" in took.said
    return change.patchsets[-1].shows


def give_back(desk: Desk, service: str, container: str) -> None:
    assert "facts identical" in desk.devswap("restore", service, "--machine", container).said


def openstack(cloud: Cloud, *argv: str, ok: bool = True) -> str | None:
    """What the client prints; None where it fails, which it must not unless `ok` is false."""
    ran = cloud.run(["sh", "-c", _OPENSTACK, "sh", *argv], on=cloud.container("-utility-"), ok=ok)
    return ran.stdout.strip() if ran.code == 0 else None


def ask(
    cloud: Cloud, kind: str, verb: str, path: str, body: object = None, *, version: str = "", ok: bool = True
) -> Any:
    """What a service of the catalogue answers, as JSON; None where it answers nothing, or, unless `ok`, fails."""
    python = cloud.sh("readlink -f /usr/local/bin/openstack", on=cloud.container("-utility-")).rpartition("/")[0]
    more = [json.dumps(body)] if body is not None else []
    argv = [f"{python}/python", "-c", _ASK, kind, version, verb, path, *more]
    ran = cloud.run(argv, on=cloud.container("-utility-"), ok=ok)
    return json.loads(ran.stdout) if ran.code == 0 and ran.stdout.strip() else None


def create_image(cloud: Cloud, name: str) -> str:
    made = openstack(cloud, "image", "create", "--file", "/etc/hostname", "-f", "value", "-c", "id", name)
    assert made
    return made
