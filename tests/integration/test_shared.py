"""Two services of one project share its checkout, its database and a terminal: taken at once, given back singly."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pexpect
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
    change = cloud.change(MIGRATION)
    tree = desk.person.checkout(f"review~{change.number}")
    try:
        on_one_terminal(cloud, desk, f"review/{change.number}")
        assert NEW_REVISION in cloud.schema()
        what_the_tree_names(cloud, desk, tree)
        first = desk.restore("--machine", cloud.heat)
        assert "other swaps hold it" in first.stdout
        assert NEW_REVISION in cloud.schema()
    finally:
        (tree / "devswap.toml").unlink(missing_ok=True)
        last = desk.devswap("restore", *api)
    assert "facts identical" in last.stdout
    assert cloud.schema() == schema
    cloud.create_stack()


def on_one_terminal(cloud: Cloud, desk: Desk, ref: str) -> None:
    """Both are taken over in the foreground, and one of them stops at a prompt."""
    stops = ("--break", f"{SERVICE}.create_stack if stack_name == 'both'")
    terminal = desk.terminal("checkout", *BOTH, ref, "--machine", cloud.heat, *stops, columns=120)
    terminal.timeout = 240  # on a host that is busy with other tests
    terminal.logfile_read = shown = io.StringIO()
    terminal.expect("migrating the database")
    for _ in BOTH:  # either may come first
        terminal.expect(r"devswap: heat-(api|engine) answers from")
    at_a_prompt(cloud, terminal, "both")
    assert "are stopped, and still swapped" in stop(terminal)
    assert shown.getvalue().count("migrating the database") == 1


def at_a_prompt(cloud: Cloud, terminal: pexpect.spawn[str], name: str) -> None:
    cloud.wait_for_api()
    created = begin(cloud, cloud.container("-utility-"), "sh", "-c", CREATE, "sh", name, text=TEMPLATE)
    terminal.expect("devswap: this is heat-engine")
    terminal.expect(PROMPT)
    terminal.sendline("p stack_name * 2")
    terminal.expect(name * 2)
    terminal.expect(PROMPT)
    terminal.sendline("c")
    terminal.expect(r"heat-engine +\| ")
    created.communicate(timeout=60)


TREE = f"""
services = ["heat-api", "heat-engine"]
set = {{ "DEFAULT.max_json_body_size" = "1048570" }}
break = ["{SERVICE}.create_stack if stack_name == 'named'"]
"""


def what_the_tree_names(cloud: Cloud, desk: Desk, tree: Path) -> None:
    """The same by `devswap up` in a tree, in the background on a terminal that is kept; then without one."""
    (tree / "devswap.toml").write_text(TREE)
    os.chown(tree / "devswap.toml", desk.person.uid, -1)
    terminal = desk.terminal("up", str(tree), "--machine", cloud.heat, "--detach", "--terminal", columns=120)
    terminal.timeout = 240
    terminal.expect("heat-api heat-engine in the background; devswap attach heat-api comes back")
    terminal.expect(pexpect.EOF)
    shown = desk.devswap("status").stdout
    for line in ("set: DEFAULT.max_json_body_size=1048570", f"{SERVICE}.create_stack if stack_name == 'named'"):
        assert shown.count(line) == len(BOTH)
    terminal = desk.terminal("attach", "heat-engine", "--machine", cloud.heat, columns=120)
    terminal.timeout = 240
    terminal.expect("this is the terminal of heat-engine")
    at_a_prompt(cloud, terminal, "named")
    terminal.sendcontrol("]")
    terminal.expect("runs on; devswap attach heat-engine comes back to it")
    terminal.expect(pexpect.EOF)
    desk.devswap("run", *BOTH, "--machine", cloud.heat, "--detach", "--no-break")
