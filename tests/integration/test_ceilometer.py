"""ceilometer of a sandbox, which polls keystone and publishes to a file: who has polled and published each is seen."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration.added import give_back, take_over, whole
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.test_foreground import PROMPT, stop

pytestmark = [pytest.mark.sandbox, pytest.mark.added("ceilometer"), pytest.mark.eras("current")]

POLLING, NOTIFICATION = "ceilometer-polling", "ceilometer-agent-notification"
# The timer of who was at a prompt is overdue: without this it stops again at once, and Ctrl-C is a key of the prompt's
ONCE = "if not hasattr(self, 'met') and not setattr(self, 'met', True):"
# Where each stops (a file, and the line before), what is looked at there, and what it is.
STOPS = {
    POLLING: (
        "ceilometer/polling/manager.py",
        '        """Polling sample and notify."""\n',
        "sorted(self.pollster_matches)",
        "some_poll",
    ),
    NOTIFICATION: (
        "ceilometer/publisher/file.py",
        '        :param samples: Samples from pipeline after transformation\n        """\n',
        "samples[0].name",
        "identity.project",
    ),
}


def at_agents(cloud: Cloud, desk: Desk) -> AbstractContextManager[str]:
    return whole(cloud, desk, "ceilometer", [POLLING, NOTIFICATION], "ceilometer-central")


def lines(cloud: Cloud, container: str) -> list[str]:
    return cloud.sh("cat /var/lib/ceilometer/samples", on=container).splitlines()


def wait_for_marks(cloud: Cloud, container: str, **marks: str) -> None:
    """Until the newest sample has these; each service takes some time for the first."""

    def newest() -> dict[str, Any]:
        published = lines(cloud, container)
        found: dict[str, Any] = json.loads(published[-1]) if published else {}
        return found

    def shown() -> dict[str, str]:
        metadata = newest().get("resource_metadata", {"polled": "nothing"})
        return {key: value for key, value in metadata.items() if key in ("polled", "published")}

    wait_until(lambda: shown() == marks, f"the newest sample has the marks {marks}", seconds=60)
    assert (newest()["name"], newest()["volume"]) == ("identity.project", 1)


def test_samples_are_polled_and_published_by_the_checkout_and_by_production_again(cloud: Cloud, desk: Desk) -> None:
    with at_agents(cloud, desk) as container:
        wait_for_marks(cloud, container)
        shown = take_over(cloud, desk, NOTIFICATION, container)
        wait_for_marks(cloud, container, published=shown)
        take_over(cloud, desk, POLLING, container)
        wait_for_marks(cloud, container, polled=shown, published=shown)
        give_back(desk, NOTIFICATION, container)
        wait_for_marks(cloud, container, polled=shown)
        give_back(desk, POLLING, container)
        wait_for_marks(cloud, container)


@pytest.mark.parametrize("service", STOPS)
def test_a_breakpoint_in_a_worker_of_cotyledon_has_a_prompt(cloud: Cloud, desk: Desk, service: str) -> None:
    path, before_it, looked_at, found = STOPS[service]
    stops = f"{before_it}        {ONCE}\n            breakpoint()\n"
    with at_agents(cloud, desk) as container:
        take_over(cloud, desk, service, container)
        source = desk.person.checkout(f"review~{cloud.change(HARMLESS, 'ceilometer').number}", "ceilometer") / path
        desk.edit(source, before_it, stops)
        terminal = desk.terminal("run", service, "--machine", container)
        terminal.expect("has stopped;")
        terminal.expect(PROMPT)
        terminal.sendline(f"p {looked_at}")
        terminal.expect(found)
        terminal.expect(PROMPT)
        terminal.sendcontrol("c")
        terminal.expect(PROMPT)
        before = len(lines(cloud, container))
        terminal.sendline("c")
        wait_until(lambda: len(lines(cloud, container)) > before, "it has gone on and a sample is published")
        stop(terminal)
        assert cloud.sh(f"pgrep -u ceilometer -f {service} || true", on=container) == ""
        desk.edit(source, stops, before_it)
        give_back(desk, service, container)
