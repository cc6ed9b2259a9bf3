"""Two services of one project share its checkout, its database and a terminal: taken at once, given back singly."""

from __future__ import annotations

import pytest

from devswap.sandbox.changes import MIGRATION, NEW_REVISION
from tests.integration.asking import SERVICE, begin
from tests.integration.cloud import TEMPLATE, Cloud
from tests.integration.people import Desk
from tests.integration.test_debugger import CREATE
from tests.integration.test_foreground import PROMPT, stop

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]

BOTH = ("heat-api", "heat-engine")


def test_two_services_are_taken_over_at_once_and_given_back_in_the_order_in_which_they_began(
    cloud: Cloud, desk: Desk
) -> None:
    """The other order is the easy one: there the dump is loaded under whoever took it."""
    schema, api = cloud.schema(), ("heat-api", "--machine", cloud.container("-heat-api"))
    where = ("--machine", cloud.heat)
    change = cloud.change(MIGRATION)
    taken = desk.devswap("checkout", *BOTH, f"review/{change.number}", *where, "--detach")
    try:
        assert taken.stderr.count("migrating the database") == 1
        assert NEW_REVISION in cloud.schema()
        on_one_terminal(cloud, desk)
        first = desk.restore("--machine", cloud.heat)
        assert "other swaps hold it" in first.stdout
        assert NEW_REVISION in cloud.schema()
    finally:
        last = desk.devswap("restore", *api)
    assert "facts identical" in last.stdout
    assert cloud.schema() == schema
    cloud.create_stack()


def on_one_terminal(cloud: Cloud, desk: Desk) -> None:
    """Both in the foreground, one of them at a prompt."""
    stops = ("--break", f"{SERVICE}.create_stack")
    terminal = desk.terminal("run", *BOTH, "--machine", cloud.heat, *stops, columns=120)
    for _ in BOTH:  # either may come first
        terminal.expect(r"devswap: heat-(api|engine) answers from")
    cloud.wait_for_api()
    created = begin(cloud, cloud.container("-utility-"), "sh", "-c", CREATE, "sh", "both", text=TEMPLATE)
    terminal.expect("devswap: this is heat-engine")
    terminal.expect(PROMPT)
    terminal.sendline("p stack_name * 2")
    terminal.expect("bothboth")
    terminal.expect(PROMPT)
    terminal.sendline("c")
    terminal.expect(r"heat-engine \| ")
    created.communicate(timeout=60)
    assert "are stopped, and still swapped" in stop(terminal)
    desk.devswap("run", *BOTH, "--machine", cloud.heat, "--detach", "--no-break")
