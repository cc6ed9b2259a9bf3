"""A library that the service uses, run from a checkout of its own in front of production's copy."""

from __future__ import annotations

import pytest

from devswap.sandbox.changes import HARMLESS, NEEDS_LIBRARY
from tests.integration.cloud import Cloud, swaps
from tests.integration.people import Desk

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]

LIBRARY = "oslo.context"


def test_a_change_runs_with_the_library_it_needs_until_a_checkout_without_it(cloud: Cloud, desk: Desk) -> None:
    change, library = cloud.change(NEEDS_LIBRARY), cloud.change(HARMLESS, LIBRARY)
    before = cloud.start_of_production()
    assert "oslo_context" in desk.take(NEEDS_LIBRARY, code=1).stderr
    assert cloud.start_of_production() == before
    desk.take(NEEDS_LIBRARY, "--with", f"{LIBRARY}=review/{library.number}")
    assert cloud.create_stack().word.startswith(f"{change.patchsets[0].shows}{library.patchsets[1].shows}")
    (swap,) = swaps(desk.devswap("status", "--json").stdout)
    (found,) = swap["libraries"]
    assert (found["name"], found["subject"], found["packages"]) == (LIBRARY, library.subject, ["oslo_context"])
    assert f"with {LIBRARY} {found['version']}: review/{library.number}" in desk.devswap("status").stdout

    tree = desk.person.checkout(f"review~{library.number}", LIBRARY)
    assert {path.lstat().st_uid for path in [tree, *tree.rglob("*")]} == {desk.person.uid}
    desk.edit(tree / "oslo_context/mark.py", library.patchsets[1].shows, "edited-")
    desk.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach")
    assert cloud.create_stack().word.startswith(f"{change.patchsets[0].shows}edited-")
    desk.edit(tree / "oslo_context/mark.py", "edited-", library.patchsets[1].shows)

    desk.take(HARMLESS)
    (swap,) = swaps(desk.devswap("status", "--json").stdout)
    assert swap["libraries"] == []
    assert "oslo" not in cloud.sh(
        "grep /run/devswap /proc/self/mountinfo; ls -R /run/devswap/heat-engine/*/with", ok=False
    )
    desk.restore()
