"""A second checkout of a swapped service: development of the first makes way, what is known of production stays."""

from __future__ import annotations

import pytest

from devswap.sandbox.changes import BROKEN_IMPORT, HARMLESS, MIGRATION, NEW_REVISION
from tests.integration.cloud import Cloud
from tests.integration.people import Desk
from tests.integration.test_debugger import in_its_place
from tests.integration.test_foreground import stop

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]


def test_from_a_migration_back_to_a_change_without_and_on_to_its_other_patchset(cloud: Cloud, desk: Desk) -> None:
    change, schema = cloud.change(HARMLESS), cloud.schema()
    desk.take(MIGRATION)
    assert NEW_REVISION in cloud.schema()
    written = cloud.create_stack()
    switched = desk.take(HARMLESS)
    assert cloud.schema() == schema
    assert "saving the database as it is now" in switched.stderr
    assert not cloud.has_stack(written)
    assert cloud.create_stack().word.startswith(change.patchsets[1].shows)
    desk.checkout(f"review/{change.number}/1")
    assert cloud.create_stack().word.startswith(change.patchsets[0].shows)
    assert "/run/devswap/heat-engine/" in cloud.show("ExecStart")["ExecStart"]
    assert len(cloud.sh("ls /run/devswap/heat-engine").split()) < 4, "what the first checkouts needed is gone"
    assert "facts identical" in desk.restore().stdout


@pytest.mark.eras("current")
def test_to_a_migration_and_back_to_production(cloud: Cloud, desk: Desk) -> None:
    schema = cloud.schema()
    desk.take(HARMLESS)
    kept = cloud.create_stack()
    desk.take(MIGRATION)
    assert NEW_REVISION in cloud.schema()
    desk.restore()
    assert cloud.schema() == schema
    assert cloud.has_stack(kept)


def test_a_second_checkout_that_cannot_be_prepared_leaves_the_first_running(cloud: Cloud, desk: Desk) -> None:
    desk.take(HARMLESS)
    first = cloud.start_of_production()
    failed = desk.take(BROKEN_IMPORT, code=1)
    assert "stack_archive" in failed.stderr
    assert cloud.start_of_production() == first
    assert cloud.create_stack().word.startswith(cloud.change(HARMLESS).patchsets[1].shows)
    desk.devswap("status", "--check")


def test_a_second_checkout_that_does_not_serve_is_followed_by_the_first_or_production(cloud: Cloud, desk: Desk) -> None:
    desk.take(HARMLESS)
    tree = desk.own_tree("second")
    desk.edit(tree / "heat/cmd/engine.py", "def main():\n", "def main():\n    sys.exit('the second gives up')\n")
    failed = desk.checkout(str(tree), code=1)
    assert "the second gives up" in failed.stderr
    word = cloud.create_stack().word
    swapped = "heat-engine in" in desk.devswap("status").stdout
    assert word.startswith(cloud.change(HARMLESS).patchsets[1].shows) == swapped


@pytest.mark.eras("current")
def test_own_copies_of_files_are_offered_at_the_next_swap(cloud: Cloud, desk: Desk) -> None:
    at, path = ("heat-engine", "--machine", cloud.heat), "/etc/heat/policy.yaml"
    says = f"{desk.person.name} has edited {path} for an earlier swap"
    desk.take(HARMLESS)
    with desk.start("edit", *at, "policy.yaml", "--from", "-", feed="# policy\n") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    desk.restore()

    terminal = desk.terminal("checkout", "heat-engine", f"review/{cloud.change(HARMLESS).number}", *at[1:])
    terminal.expect(f"{says}:.*1  use that again.*2  leave it.*which one")
    terminal.sendline("1")
    terminal.expect(f"heat-engine reads its own copy of {path}")
    terminal.expect("answers from")
    assert in_its_place(cloud, f"cat {path}") == "# policy"
    assert f"own copy: {path}\n" in desk.devswap("status").stdout
    stop(terminal)
    desk.restore()

    assert f"{says}: devswap edit heat-engine --again uses that again" in desk.take(HARMLESS).stderr
    assert "own copy" not in desk.devswap("status").stdout
    assert in_its_place(cloud, f"ls -A {path.rpartition('/')[0]}") == cloud.sh("ls -A /etc/heat")
    desk.devswap("edit", *at, "--drop")
    desk.restore()
