"""Two services of one project share its database: one capture, given back by whoever leaves last."""

from __future__ import annotations

import pytest

from devswap.sandbox.changes import MIGRATION, NEW_REVISION
from tests.integration.cloud import Cloud
from tests.integration.people import Desk

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]


def test_two_swaps_of_one_database_are_given_back_in_the_order_in_which_they_began(cloud: Cloud, desk: Desk) -> None:
    """The other order is the easy one: there the dump is loaded under whoever took it."""
    schema, api = cloud.schema(), ("heat-api", "--machine", cloud.container("-heat-api"))
    desk.take(MIGRATION)
    desk.devswap("checkout", api[0], f"review/{cloud.change(MIGRATION).number}", *api[1:], "--detach")
    try:
        assert NEW_REVISION in cloud.schema()
        first = desk.restore("--machine", cloud.heat)
        assert "other swaps hold it" in first.stdout
        assert NEW_REVISION in cloud.schema()
    finally:
        last = desk.devswap("restore", *api)
    assert "facts identical" in last.stdout
    assert cloud.schema() == schema
    cloud.create_stack()
