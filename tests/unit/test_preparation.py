"""What is found while production serves: then it goes on serving."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import meanwhile, status, swap, systemd
from devswap.discovery import sites
from devswap.errors import DevswapError, NotWhole, PackagesRefused
from devswap.installer import Installed
from devswap.machine import Machine
from devswap.overlay import Overlay
from devswap.service import Catalogue, load_catalogue
from devswap.wish import Makers, Wish
from tests.simulated import images
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.person import Presses


@pytest.mark.parametrize(
    ("revisions", "script"), [(("a1",), "heat-engine"), (("a1", "b2"), "heat-manage")], ids=["service", "migration"]
)
def test_a_script_that_the_change_renamed_is_noticed_before_the_stop(
    tmp_path: Path, revisions: tuple[str, ...], script: str
) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("renamed", revisions=revisions)
    (tmp_path / "overlays/renamed/bin" / script).unlink()
    before = cloud.take()
    with pytest.raises(DevswapError, match=f"has no script {script}, which heat-engine.service"):
        swap.checkout(cloud.host(), Wish("heat-engine", "renamed", None, None, detach=True), cloud.makers)
    assert not any("stopping" in line for line in cloud.said)
    assert differences(cloud, before) == []


def test_what_neither_runs_nor_has_stopped_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails and is started again and again: as what would it come back?"""
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("plain")
    cloud.machine(images.HEAT).init.unit("heat-engine.service").active = "activating"
    monkeypatch.setattr(systemd, "_SETTLE_SECONDS", 0.0)
    before = cloud.take()
    with no_waiting(monkeypatch), pytest.raises(DevswapError, match=r"is activating .*: it neither runs") as refused:
        swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    assert refused.value.hint is not None
    assert "systemctl stop heat-engine.service" in refused.value.hint
    assert differences(cloud, before) == []


@pytest.mark.parametrize("verb", [swap.checkout, swap.plan])
def test_a_service_that_cannot_be_taken_over_yet_is_refused_before_anything_is_touched(
    tmp_path: Path, verb: Callable[..., object]
) -> None:
    cloud = SimulatedCloud(tmp_path)
    before = cloud.take()
    with pytest.raises(DevswapError, match="cannot take masakari-api over yet: it notes the revision") as caught:
        verb(cloud.host(), Wish("masakari-api", "master", None, None, detach=True), cloud.makers)
    assert caught.value.hint == "devswap list masakari-api shows what is known of it"
    assert (differences(cloud, before), cloud.said) == ([], [])


def test_a_users_own_entry_cannot_have_a_checkout_run_as_root(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("change")
    machine = cloud.machine(images.HEAT)
    machine.write_text(
        "/etc/systemd/system/heat-engine.service", f"[Service]\nExecStart={images.VENV}/bin/heat-engine\n"
    )
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    machine.run(["systemctl", "start", "--", "heat-engine.service"])
    entry = replace(load_catalogue().get("heat-engine"), origins=("devswap", "/home/ada/heat.toml"), of_home=True)
    before = cloud.take()
    wish = Wish("heat-engine", "change", None, None, detach=True)
    with pytest.raises(DevswapError, match=r"runs as root, and /home/ada/heat\.toml is no file of the host"):
        swap.checkout(replace(cloud.host(), catalogue=lambda: Catalogue([entry])), wish, cloud.makers)
    assert differences(cloud, before) == []


def test_what_a_policy_forbids_is_refused_with_the_command_that_allows_it(tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> Overlay:
        raise PackagesRefused("the private index lacks humanize", hint="allow the public index for what is missing")

    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("needy")
    wish = Wish("heat-engine", "needy", None, None, detach=True)
    with pytest.raises(DevswapError, match="lacks humanize") as caught:
        swap.checkout(cloud.host(), wish, replace(cloud.makers, build=refuse))
    assert (caught.value.hint or "").endswith(": devswap checkout heat-engine needy --index-policy fallback")
    assert differences(cloud, cloud.take()) == []


def test_the_lock_of_what_was_installed_is_kept_and_shown_with_the_swap(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("needy")
    made = Installed("humanize", "4.9.0", None, "public index", "heat needs humanize", sha256="abc")

    def build(*arguments: Any, **options: Any) -> Overlay:
        return replace(cloud.makers.build(*arguments, **options), installed=(made,))

    makers = replace(cloud.makers, build=build)
    wish = Wish("heat-engine", "needy", None, None, detach=True)
    planned = swap.plan(cloud.host(), wish, makers)
    swap.checkout(cloud.host(), wish, makers)
    (journal,) = cloud.host().journals.all()
    assert planned.packages == ["humanize 4.9.0 from the public index: heat needs humanize"]
    assert planned.installs == journal.swap.overlay["packages"] == status.of(cloud.host(), journal).packages
    assert planned.installs[0]["sha256"] == "abc"
    assert any("public index" in line and "heat needs humanize" in line for line in cloud.said)


@pytest.mark.parametrize("swapped", [False, True])
def test_ctrl_c_and_more_of_it_leave_nothing_mounted(tmp_path: Path, *, swapped: bool) -> None:
    """Pressed at each instant of a preparation, and while what it had mounted is taken away."""
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("plain")
    cloud.checkout("other")
    if swapped:
        swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    before, wish = cloud.take(), Wish("heat-engine", "other", None, None, detach=True)
    entries = [journal.entries for journal in cloud.host().journals.all()]
    for first in range(1000):
        cloud.calls.begin(instant=Presses(first, "unmount"))
        interrupted = False
        try:
            swap.plan(cloud.host(), wish, cloud.makers)
        except KeyboardInterrupt:
            interrupted = True
        cloud.calls.begin()
        assert [line for line in differences(cloud, before) if "journal.json" not in line] == [], first
        assert [journal.entries for journal in cloud.host().journals.all()] == entries
        if not interrupted:
            break
    assert first > 3


def beside_for_real(cloud: SimulatedCloud, fetch: Callable[..., Any]) -> Makers:
    """As on a real host: production is looked at in a thread of its own while something is fetched."""
    return replace(cloud.makers, fetch=fetch, beside=meanwhile.begun)


def test_production_is_looked_at_while_the_checkout_is_fetched(tmp_path: Path) -> None:
    cloud, looked = SimulatedCloud(tmp_path), threading.Event()
    cloud.checkout("plain")
    whole = cloud.take()
    host = cloud.host()

    def say(text: str) -> None:
        host.say(text)
        if text.startswith("taking the fingerprint"):
            looked.set()

    def fetch(*what: Any, **how: Any) -> Any:
        assert looked.wait(20), "nobody looks while this is fetched"
        return cloud.makers.fetch(*what, **how)

    wish = Wish("heat-engine", "plain", None, None, detach=True)
    swap.checkout(replace(host, say=say), wish, beside_for_real(cloud, fetch))
    (journal,) = cloud.host().journals.all()
    assert journal.swap.fingerprint["unit state"] == "active"
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_a_fetch_that_fails_leaves_no_trace_whatever_was_looked_at(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path)
    whole = cloud.take()

    def fetch(*what: Any, **how: Any) -> Any:
        raise DevswapError("the server does not answer")

    with pytest.raises(DevswapError, match="the server does not answer"):
        swap.checkout(
            cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), beside_for_real(cloud, fetch)
        )
    with cloud.host().journals.changing(seconds=20):  # whoever looked has let go of the lock
        assert differences(cloud, whole) == []


def test_what_is_wrong_with_production_is_said_when_the_fetch_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("plain")
    cloud.machine(images.HEAT).init.unit("heat-engine.service").active = "activating"
    monkeypatch.setattr(systemd, "_SETTLE_SECONDS", 0.0)
    whole = cloud.take()
    makers = beside_for_real(cloud, cloud.makers.fetch)
    with no_waiting(monkeypatch), pytest.raises(DevswapError, match=r"is activating .*: it neither runs"):
        swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), makers)
    assert differences(cloud, whole) == []


def test_haproxys_file_that_cannot_be_read_at_some_time_leaves_nothing_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("plain")
    cloud.balance()
    wish, before = Wish("heat-api", "plain", None, None, detach=True), cloud.take()
    with no_waiting(monkeypatch):
        cloud.calls.begin(instant=None)
        swap.checkout(cloud.host(), wish, cloud.makers)
        reads = [at for at, name in enumerate(cloud.calls.names) if name == "file read /etc/haproxy/haproxy.cfg"]
        for number in reads:
            cloud.put_back(before)
            cloud.calls.begin(Fault(number, Kind.RAISES))
            with suppress(DevswapError, OSError):
                swap.checkout(cloud.host(), wish, cloud.makers)
                continue  # it was read by somebody who can do without
            cloud.calls.begin()
            assert differences(cloud, before) == [], f"call {number}"
    assert len(reads) > 5


def test_what_somebody_stops_while_the_takeover_is_prepared_is_not_taken_over(tmp_path: Path) -> None:
    """It would come back as it was found, or as it was left: nobody could tell which is meant."""
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("plain")
    machine = cloud.machine(images.HEAT)

    def build(*what: Any, **how: Any) -> Any:
        machine.run(["systemctl", "stop", "--", "heat-engine.service"])
        return cloud.makers.build(*what, **how)

    wish = Wish("heat-engine", "plain", None, None, detach=True)
    with pytest.raises(DevswapError, match="was active and is inactive: it was changed while this was prepared"):
        swap.checkout(cloud.host(), wish, replace(cloud.makers, build=build))
    assert machine.init.unit("heat-engine.service").active == "inactive"
    assert cloud.host().journals.all() == []
    machine.run(["systemctl", "start", "--", "heat-engine.service"])
    swap.checkout(cloud.host(), wish, cloud.makers)


def test_a_site_that_somebody_edits_while_the_takeover_is_prepared_is_not_covered_as_it_was(tmp_path: Path) -> None:
    """Apache would serve the others of it from before the edit."""
    cloud = SimulatedCloud(tmp_path)
    cloud.with_keystone()
    cloud.checkout("plain")
    machine = cloud.machine(images.KEYSTONE)
    (site,) = [path for path in sites.files(machine) if "keystone" in path]
    before = machine.read_text(site)
    assert before is not None

    def build(*what: Any, **how: Any) -> Any:
        machine.write_text(site, f"{before}# an edit\n")
        return cloud.makers.build(*what, **how)

    wish = Wish("keystone", "plain", None, None, detach=True)
    with pytest.raises(DevswapError, match="was changed while this was prepared") as refused:
        swap.checkout(cloud.host(), wish, replace(cloud.makers, build=build))
    assert refused.value.hint == "type the same again"
    assert cloud.host().journals.all() == []
    swap.checkout(cloud.host(), wish, cloud.makers)


def test_a_build_that_cannot_be_ended_is_said_once_production_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was left by a devswap that was killed, and would go on where nobody sees it."""
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("plain")
    whole = cloud.take()
    with no_waiting(monkeypatch):
        swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    machine, build = cloud.machine(images.HEAT), "devswap-heat-engine-overlay.service"
    machine.make_transient(build, ["sleep", "infinity"])
    (journal,) = cloud.host().journals.all()
    real = systemd.stop

    def stop(where: Machine, unit: str, **how: Any) -> None:
        if unit == build:
            raise DevswapError(f"cannot stop {unit}: it waits for a disk")
        real(where, unit, **how)

    with monkeypatch.context() as now:
        now.setattr(systemd, "stop", stop)
        with pytest.raises(NotWhole, match="it waits for a disk") as told:
            swap.restore(cloud.host(), journal)
    assert "devswap restore heat-engine goes on" in str(told.value.hint)
    assert machine.init.unit("heat-engine.service").argv[0].startswith(images.VENV)
    swap.restore(cloud.host(), cloud.host().journals.all()[0])
    assert differences(cloud, whole) == []
