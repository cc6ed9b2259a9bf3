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
    heats, first, second = change.patchsets[0].shows, *(patchset.shows for patchset in library.patchsets)
    taken = desk.take(NEEDS_LIBRARY, "--with-depends")
    assert "which this service has no package of" in taken.stderr, "the other footer names a change of keystone"
    assert cloud.create_stack().word.startswith(heats + second)
    (swap,) = swaps(desk.devswap("status", "--json").stdout)
    (found,) = swap["libraries"]
    assert (found["name"], found["subject"], found["packages"]) == (LIBRARY, library.subject, ["oslo_context"])
    shown = desk.devswap("status").stdout
    assert f"with {LIBRARY} {found['version']}: review/{library.number}" in shown
    assert f"change {library.number}, patchset 2" in shown

    desk.take(NEEDS_LIBRARY, "--with", f"{LIBRARY}=review/{library.number}/1")
    tree = desk.person.checkout(f"review~{library.number}~1", LIBRARY)
    assert {path.lstat().st_uid for path in [tree, *tree.rglob("*")]} == {desk.person.uid}
    desk.edit(tree / "oslo_context/mark.py", first, "edited-")
    ran = desk.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach")
    assert f"a newer patchset of change {library.number} exists: 2, this is 1" in ran.stderr
    assert cloud.create_stack().word.startswith(f"{heats}edited-")
    desk.edit(tree / "oslo_context/mark.py", "edited-", first)

    desk.take(HARMLESS)
    (swap,) = swaps(desk.devswap("status", "--json").stdout)
    assert swap["libraries"] == []
    left = cloud.sh("grep /run/devswap /proc/self/mountinfo; ls /run/devswap/heat-engine/*", ok=False)
    assert "oslo" not in left
    assert "with" not in left.split()
    desk.restore()
