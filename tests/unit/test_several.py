"""Several services of one project at once: one checkout, one migration, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import coming_back, running, several, swap, systemd, takeover
from devswap.errors import DevswapError, NotWhole, UsageError
from devswap.host import Host
from devswap.installer import Installed
from devswap.journal import Journal
from devswap.machine import Machine
from devswap.overlay import Overlay
from devswap.wish import Makers, Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.snapshot import Snapshot

BOTH = ("heat-api", "heat-engine")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    for name, fate in (("plain", ""), ("other", ""), ("dies", "dies"), ("mute", "mute")):
        found.checkout(name, fate=fate)
    found.checkout("migrates", revisions=("a1", "b2"))
    with no_waiting(monkeypatch):
        yield found


def wish(ref: str, *, detach: bool = True, **more: Any) -> Wish:
    return Wish("", ref, None, None, detach=detach, **more)


def swapped(host: Host) -> dict[str, Journal]:
    return {journal.swap.service: journal for journal in host.journals.all()}


def is_running(cloud: SimulatedCloud, service: str) -> bool:
    return cloud.machine(images.HEAT).init.is_active(f"{service}.service")


def restored(cloud: SimulatedCloud, *services: str) -> None:
    for service in services:
        swap.restore(cloud.host(), swapped(cloud.host())[service])


def mounts(cloud: SimulatedCloud) -> list[str]:
    return cloud.machine(images.HEAT).mounted("/run/devswap")


@pytest.mark.parametrize("ref", ["plain", "migrates"])
@pytest.mark.parametrize("order", [BOTH, BOTH[::-1]])
def test_all_are_taken_over_and_each_is_given_back_by_itself(
    cloud: SimulatedCloud, ref: str, order: tuple[str, str]
) -> None:
    whole = cloud.take()
    several.checkout(cloud.host(), BOTH, wish(ref), cloud.makers)
    found = swapped(cloud.host())
    assert {name: (journal.swap.ref, journal.swap.mode) for name, journal in found.items()} == dict.fromkeys(
        BOTH, (ref, "detached")
    )
    assert all(is_running(cloud, name) for name in BOTH)
    restored(cloud, order[0])
    assert set(swapped(cloud.host())) == {order[1]}
    restored(cloud, order[1])
    assert differences(cloud, whole) == []


def test_the_migration_is_run_once(cloud: SimulatedCloud) -> None:
    cloud.calls.begin()
    several.checkout(cloud.host(), BOTH, wish("migrates"), cloud.makers)
    ran = [name for name in cloud.calls.names if "db_sync" in name]
    assert len(ran) == 1
    assert cloud.schema(images.ACCOUNT).column("alembic_version") == ["b2"]


def test_the_checkout_is_fetched_once_so_that_both_have_the_same(cloud: SimulatedCloud) -> None:
    fetched: list[str] = []

    def fetch(project: str, ref: str, **options: Any) -> Any:
        fetched.append(ref)
        return replace(cloud.makers.fetch(project, ref, **options), commit=f"{len(fetched):040}")

    several.checkout(cloud.host(), BOTH, wish("plain"), Makers(fetch, cloud.makers.build))
    assert fetched == ["plain"]
    assert len({journal.swap.commit for journal in cloud.host().journals.all()}) == 1


@pytest.mark.parametrize("same", [True, False])
def test_packages_are_told_once_unless_they_differ(cloud: SimulatedCloud, *, same: bool) -> None:
    versions = iter(("1.0", "1.0" if same else "2.0"))

    def build(*arguments: Any, **options: Any) -> Overlay:
        made = Installed("humanize", next(versions), None, "public index", "heat needs humanize")
        return replace(cloud.makers.build(*arguments, **options), installed=(made,))

    several.checkout(cloud.host(), BOTH, wish("plain"), replace(cloud.makers, build=build))
    told = [line.split()[1] for line in cloud.said if line.startswith(("humanize ", "for "))]
    assert told == (["-"] if same else ["heat-api:", "-", "heat-engine:", "-"])


@pytest.mark.parametrize("ref", ["dies", "mute"])
def test_what_does_not_serve_takes_all_of_them_back(cloud: SimulatedCloud, ref: str) -> None:
    whole = cloud.take()
    with pytest.raises(DevswapError, match="does not serve"):
        several.checkout(cloud.host(), BOTH, wish(ref), cloud.makers)
    assert differences(cloud, whole) == []


def test_one_that_cannot_be_prepared_leaves_all_of_production_serving(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, built = cloud.take(), []

    def build(*arguments: Any, **options: Any) -> Any:
        built.append(options["unit"])
        if len(built) == 2:
            raise DevswapError("no such package")
        return cloud.makers.build(*arguments, **options)

    cloud.calls.begin()
    with pytest.raises(DevswapError, match="no such package"):
        several.checkout(cloud.host(), BOTH, wish("plain"), replace(cloud.makers, build=build))
    assert not any("systemctl stop -- heat-" in name for name in cloud.calls.names)
    assert differences(cloud, whole) == []


def test_one_that_was_swapped_before_stays_as_it_was_when_another_fails(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), replace(wish("plain"), service="heat-api"), cloud.makers)
    before, mounted = swapped(cloud.host())["heat-api"].swap, mounts(cloud)
    with pytest.raises(DevswapError, match="does not serve"):
        several.checkout(cloud.host(), BOTH, wish("dies"), cloud.makers)
    after = swapped(cloud.host())
    assert set(after) == {"heat-api"}
    assert after["heat-api"].swap == before
    assert mounts(cloud) == mounted
    assert is_running(cloud, "heat-api")


def fails_at(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    """The start of `service` does not come about."""
    usual = running.detached

    def detached(host: Host, start: Any, **options: Any) -> Any:
        if start.journal.swap.service == service and start.journal.swap.ref == "other":
            raise DevswapError(f"{service} does not serve")
        return usual(host, start, **options)

    monkeypatch.setattr(running, "detached", detached)


def test_a_switch_of_both_that_fails_goes_back_to_the_checkouts_that_were(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cloud.take()
    several.checkout(cloud.host(), BOTH, wish("plain"), cloud.makers)
    before, mounted = {name: journal.swap for name, journal in swapped(cloud.host()).items()}, mounts(cloud)
    fails_at(cloud, monkeypatch, "heat-engine")
    with pytest.raises(DevswapError, match="heat-engine does not serve"):
        several.checkout(cloud.host(), BOTH, wish("other"), cloud.makers)
    assert {name: journal.swap for name, journal in swapped(cloud.host()).items()} == before
    assert mounts(cloud) == mounted
    assert all(is_running(cloud, name) for name in BOTH)
    restored(cloud, *BOTH)
    assert differences(cloud, whole) == []


def test_a_switch_of_one_that_fails_goes_back_to_the_checkout_that_was(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, one = cloud.take(), replace(wish("plain"), service="heat-engine")
    several.checkout_one(cloud.host(), one, cloud.makers)
    before, mounted = swapped(cloud.host())["heat-engine"].swap, mounts(cloud)
    fails_at(cloud, monkeypatch, "heat-engine")
    with pytest.raises(DevswapError, match="heat-engine does not serve"):
        several.checkout_one(cloud.host(), replace(one, ref="other"), cloud.makers)
    assert swapped(cloud.host())["heat-engine"].swap == before
    assert mounts(cloud) == mounted
    assert is_running(cloud, "heat-engine")
    restored(cloud, "heat-engine")
    assert differences(cloud, whole) == []


def test_a_switch_of_one_that_fails_with_another_database_brings_production_back(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, one = cloud.take(), replace(wish("migrates"), service="heat-engine")
    several.checkout_one(cloud.host(), one, cloud.makers)
    fails_at(cloud, monkeypatch, "heat-engine")
    with pytest.raises(DevswapError, match="heat-engine does not serve"):
        several.checkout_one(cloud.host(), replace(one, ref="other"), cloud.makers)
    assert swapped(cloud.host()) == {}
    assert [line for line in differences(cloud, whole) if "saved" not in line] == []


def test_who_goes_on_with_a_migrated_database_is_said(cloud: SimulatedCloud) -> None:
    said = "production's code goes on with the migrated database: "
    several.checkout(cloud.host(), BOTH, wish("migrates"), cloud.makers)
    told = [line.removeprefix(said) for line in cloud.said if line.startswith(said)]
    restored(cloud, *BOTH)
    cloud.said.clear()
    several.checkout_one(cloud.host(), replace(wish("migrates"), service="heat-engine"), cloud.makers)
    alone = [line.removeprefix(said) for line in cloud.said if line.startswith(said)]
    assert not any(f"{name} in lxc:{images.HEAT}" in line for line in told for name in BOTH)
    assert any(f"heat-api in lxc:{images.HEAT}" in line for line in alone)


def test_a_switch_of_both_leaves_nothing_of_the_checkout_before(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    several.checkout(cloud.host(), BOTH, wish("plain"), cloud.makers)
    several.checkout(cloud.host(), BOTH, wish("migrates"), cloud.makers)
    assert all("/2/" in path for path in mounts(cloud))
    assert {journal.swap.ref for journal in cloud.host().journals.all()} == {"migrates"}
    restored(cloud, *BOTH)
    assert differences(cloud, whole) == []


def test_a_switch_that_needs_the_database_as_it_was_is_refused_before_anything(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), replace(wish("migrates"), service="heat-api"), cloud.makers)
    before = cloud.take()
    with pytest.raises(DevswapError, match="cannot switch heat-api together with others"):
        several.checkout(cloud.host(), BOTH, wish("plain"), cloud.makers)
    assert [line for line in differences(cloud, before) if not line.startswith("left on the disk")] == []


def test_in_the_foreground_one_ctrl_c_ends_both_and_they_stay_swapped(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    ended = several.checkout(cloud.host(), BOTH, wish("plain", detach=False), cloud.makers)
    assert ended is not None
    assert {name: each.by_user for name, each in ended.items()} == dict.fromkeys(BOTH, True)
    assert not any(is_running(cloud, name) for name in BOTH)
    again = several.run(cloud.host(), BOTH, None, detach=False)
    assert again is not None
    assert set(again) == set(BOTH)
    several.run(cloud.host(), BOTH, None, detach=True)
    assert all(is_running(cloud, name) for name in BOTH)
    restored(cloud, *BOTH)
    assert differences(cloud, whole) == []


def test_in_the_foreground_a_failed_takeover_ends_what_was_begun_and_production_serves(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, usual = cloud.take(), takeover.take_over

    def take_over(host: Host, prepared: Any, *rest: Any) -> Any:
        if prepared.journal.swap.service == "heat-engine":
            raise KeyboardInterrupt
        return usual(host, prepared, *rest)

    monkeypatch.setattr(takeover, "take_over", take_over)
    with pytest.raises(KeyboardInterrupt):
        several.checkout(cloud.host(), BOTH, wish("plain", detach=False), cloud.makers)
    assert differences(cloud, whole) == []


def test_production_is_given_back_on_exit_if_that_was_asked(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    several.checkout(cloud.host(), BOTH, wish("plain", detach=False, restore_on_exit=True), cloud.makers)
    assert differences(cloud, whole) == []


def test_one_way_back_that_fails_does_not_keep_the_other_from_its_own(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = coming_back.bring_back

    def bring_back(host: Host, journal: Journal, *kept: Any) -> Any:
        if journal.swap.service == "heat-engine":
            raise NotWhole("no way back")
        return usual(host, journal, *kept)

    monkeypatch.setattr(coming_back, "bring_back", bring_back)
    with pytest.raises(NotWhole, match="no way back"):
        several.checkout(cloud.host(), BOTH, wish("dies"), cloud.makers)
    assert set(swapped(cloud.host())) == {"heat-engine"}


@pytest.mark.parametrize(
    ("services", "said"),
    [
        (("heat-api", "keystone"), "keystone of keystone"),
        (("heat-api", "heat-api"), "heat-api is named twice"),
        (("heat-api", "heat-engin"), "unknown service 'heat-engin'"),
    ],
)
def test_what_cannot_be_meant_together_is_a_usage_error_with_a_hint(
    cloud: SimulatedCloud, services: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        several.checkout(cloud.host(), services, wish("plain"), cloud.makers)
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_machine_names_the_cloud_for_those_that_run_elsewhere_in_it(cloud: SimulatedCloud) -> None:
    two = ("heat-engine", "heat-api-cfn")
    (cloud.folder / "overlays/plain/bin/heat-api-cfn").write_text("")
    found = several.planned(cloud.host(), two, wish("plain"), cloud.makers)
    assert [each.machine for each in found] == [f"lxc:{images.HEAT}", f"lxc:{images.HEAT_CFN}"]
    named = replace(wish("plain"), machine=images.HEAT)
    assert several.planned(cloud.host(), two, named, cloud.makers) == found
    assert mounts(cloud) == []


@pytest.mark.parametrize("again", [True, False])
def test_one_whose_switch_stops_half_way_does_not_keep_production_of_the_others_from_coming_back(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    swap.checkout(cloud.host(), replace(wish("plain"), service="heat-api"), cloud.makers)
    real = systemd.stop
    stopped: list[str] = []

    def stop(machine: Machine, unit: str, **how: Any) -> None:
        stopped.append(unit)
        if unit == "heat-api.service" and (again or stopped.count(unit) == 1):
            raise DevswapError("the machine did not answer")
        real(machine, unit, **how)

    with monkeypatch.context() as now:
        now.setattr(systemd, "stop", stop)
        with pytest.raises(DevswapError, match="the machine did not answer") as told:
            several.checkout(cloud.host(), BOTH, wish("other"), cloud.makers)
    assert told.value.exit_code == (3 if again else 1)
    assert {name: journal.swap.ref for name, journal in swapped(cloud.host()).items()} == {"heat-api": "plain"}
    assert is_running(cloud, "heat-engine")
    assert is_running(cloud, "heat-api")
    restored(cloud, "heat-api")
    assert differences(cloud, whole) == []
