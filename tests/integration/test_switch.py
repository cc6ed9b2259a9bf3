"""A second checkout of a swapped service: development of the first makes way, what is known of production stays."""

from __future__ import annotations

import pytest

from devswap.sandbox.changes import BROKEN_IMPORT, HARMLESS, MIGRATION, NEW_REVISION
from tests.integration.cloud import Cloud
from tests.integration.people import Desk

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
