"""What was looked at while a takeover was prepared, and is not so any more when it begins."""

from __future__ import annotations

import pytest

from devswap import coming_back, meant, preparation, several, takeover
from devswap.errors import DevswapError, NotServing, Untouched
from devswap.steps.mount import MountPassing
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.snapshot import Snapshot
from tests.unit.midst import API, ENGINE, check_out, restore


def test_a_migration_that_is_taken_back_while_a_checkout_is_prepared_is_not_relied_on(
    cloud: SimulatedCloud, whole: Snapshot
) -> None:
    check_out(cloud.host(), cloud, ENGINE, "migrates")
    ben = cloud.host(user="ben", uid=1000)
    wish = Wish(API, "migrates", None, None, detach=True)
    prepared = preparation.prepare(ben, wish, meant.locate_place(ben, wish), cloud.makers)
    restore(cloud.host(), cloud, ENGINE)
    with pytest.raises(Untouched, match="given it back"), coming_back.or_back(ben, prepared.journal):
        takeover.take_over(ben, prepared, None, None)
    assert ben.journals.all() == []
    assert differences(cloud, whole) == []


def test_a_switch_is_refused_when_another_has_joined_the_migration_meanwhile(
    cloud: SimulatedCloud, whole: Snapshot
) -> None:
    check_out(cloud.host(), cloud, ENGINE, "migrates")
    host, wish = cloud.host(), Wish(ENGINE, "plain", None, None, detach=True)
    prepared = preparation.prepare(host, wish, meant.locate_place(host, wish), cloud.makers)
    assert prepared.database_returns_first
    check_out(cloud.host(user="ben", uid=1000), cloud, API, "migrates")
    with pytest.raises(Untouched):
        takeover.take_over(host, prepared, None, None)
    assert {journal.swap.ref for journal in host.journals.all()} == {"migrates"}
    restore(cloud.host(), cloud, API)
    restore(cloud.host(), cloud, ENGINE)
    assert differences(cloud, whole) == []


def test_a_kept_switch_that_gives_back_on_exit_and_does_not_come_up_is_whole(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.checkout("mute", fate="mute")
    cloud.ends_by_itself = True
    before = cloud.take()
    check_out(cloud.host(), cloud, ENGINE, "plain")
    monkeypatch.setattr(cloud, "person_acts", lambda machine, unit: False)
    wish = Wish(ENGINE, "mute", None, None, detach=False, foreground=True, kept=True, restore_on_exit=True)
    with pytest.raises(NotServing):
        several.checkout_one(cloud.host(), wish, cloud.makers)
    assert differences(cloud, before) == []


def test_an_abandoned_preparation_with_a_hook_that_makes_something_waits_for_no_database() -> None:
    assert MountPassing.kind in coming_back._PREPARING


def test_a_run_that_was_ended_for_a_checkout_that_fails_is_told_of(cloud: SimulatedCloud) -> None:
    check_out(cloud.host(), cloud, ENGINE, "plain")
    with pytest.raises(DevswapError):
        check_out(cloud.host(), cloud, ENGINE, "no-such-ref")
    assert not [line for line in cloud.said if "does not run" in line]
    cloud.machine(images.HEAT).run(["systemctl", "stop", "--", "heat-engine.service"])
    with pytest.raises(DevswapError):
        check_out(cloud.host(), cloud, ENGINE, "no-such-ref")
    (told,) = [line for line in cloud.said if "does not run" in line]
    assert told == "heat-engine has plain still, and does not run: devswap run heat-engine starts it"
