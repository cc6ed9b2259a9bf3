"""What was found of a service, why there, and why not elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap import swap
from devswap.commands.list import _show_one
from devswap.explain import explain
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud


def test_a_place_is_told_with_all_that_was_found_and_the_others_with_what_they_lack(tmp_path: Path) -> None:
    host = SimulatedCloud(tmp_path).host()
    told = explain(host, host.catalogue().get("heat-engine"))
    (place,) = told.places
    assert (place.machine, place.unit, place.state) == (f"lxc:{images.HEAT}", "heat-engine.service", "active")
    assert place.unit_file == "/etc/systemd/system/heat-engine.service"
    assert (place.user, place.version, place.virtualenv) == ("heat", "33.0.1", images.VENV)
    assert place.command == (f"{images.VENV}/bin/heat-engine",)
    assert place.config_files == ("/etc/heat/heat.conf",)
    assert told.looked_for == ("heat-engine.service",)
    assert told.elsewhere[f"lxc:{images.GALERA}"] == "no such unit"


def test_it_is_shown_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host = SimulatedCloud(tmp_path).host()
    _show_one(explain(host, host.catalogue().get("neutron-server")), as_json=False)
    _show_one(explain(host, host.catalogue().get("heat-engine")), as_json=False)
    said = capsys.readouterr().out
    assert "  looked for   neutron-server.service, neutron-api.service\n" in said
    assert f"lxc:{images.HEAT}, lxc:{images.HEAT_CFN}, lxc:{images.GALERA}: no such unit\n" in said
    assert f"lxc:{images.HEAT}: active, version 33.0.1\n" in said
    assert f"  runs         {images.VENV}/bin/heat-engine as heat\n" in said


def test_a_service_of_uwsgi_is_told_with_its_files_and_where_it_listens(tmp_path: Path) -> None:
    host = SimulatedCloud(tmp_path).host()
    (place,) = explain(host, host.catalogue().get("heat-api")).places
    assert place.server
    assert place.addresses


def test_while_it_is_swapped_production_is_told(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("change")
    swap.checkout(cloud.host(), Wish("heat-engine", "change", None, None, detach=True), cloud.makers)
    host = cloud.host()
    (place,) = explain(host, host.catalogue().get("heat-engine")).places
    assert (place.swapped, place.command) == (True, (f"{images.VENV}/bin/heat-engine",))


def test_what_cannot_be_taken_over_is_told_with_the_reason(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path)
    machine = cloud.machine(images.HEAT)
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    machine.write_text("/etc/systemd/system/heat-engine.service", "[Service]\nUser=heat\nExecStart=/bin/true\n")
    machine.run(["systemctl", "daemon-reload"])
    host = cloud.host()
    (place,) = explain(host, host.catalogue().get("heat-engine")).places
    assert "is no Python program" in str(place.why_not)
    assert place.command is None
    assert "notes the revision" in str(explain(host, host.catalogue().get("masakari-api")).unsupported)


def test_a_machine_without_the_files_that_tell_a_shared_unit_is_none(tmp_path: Path) -> None:
    host = SimulatedCloud(tmp_path).host()
    files = ("/etc/stack-web/main.conf", "/etc/stack-web.conf")
    told = explain(host, replace(host.catalogue().get("heat-engine"), known_by=files))
    assert told.places == ()
    assert told.elsewhere[f"lxc:{images.HEAT}"] == "no /etc/stack-web/main.conf or /etc/stack-web.conf"
