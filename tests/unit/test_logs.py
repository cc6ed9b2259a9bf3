"""A log is read where its service writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import logs
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine


@pytest.fixture
def cloud(tmp_path: Path) -> SimulatedCloud:
    found = SimulatedCloud(tmp_path)
    found.with_keystone()
    return found


def read(cloud: SimulatedCloud, service: str, machine: str) -> str:
    """The command that shows it."""
    cloud.calls.begin()
    logs.show(cloud.host(), service, machine, follow=False, lines=7)
    return cloud.calls.names[-1].partition(": ")[2]


def put(machine: SimulatedMachine, *paths: str) -> None:
    for path in paths:
        images.put(machine.files, path, "")


def test_it_is_in_the_journal_unless_a_file_is_named(cloud: SimulatedCloud) -> None:
    assert "--unit=heat-api.service" in read(cloud, "heat-api", images.HEAT)


def test_a_file_of_uwsgi_and_one_of_its_own(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.HEAT)
    machine.write_text("/etc/heat/heat.conf", "[DEFAULT]\nlog_dir = /var/log/heat\n")
    ini = images.UWSGI_INI.format(venv=images.VENV, module="api", port=8004)
    machine.write_text("/etc/uwsgi/heat-api.ini", f"{ini}logto = /var/log/uwsgi.log\n")
    put(machine, "/var/log/heat/heat-api.log", "/var/log/uwsgi.log")
    assert read(cloud, "heat-api", images.HEAT) == "tail --lines=7 -- /var/log/heat/heat-api.log /var/log/uwsgi.log"


def test_apaches_error_log_and_the_files_of_its_scripts(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.KEYSTONE)
    site = images.keystone_site().replace(
        "    WSGIProcessGroup", "    ErrorLog ${APACHE_LOG_DIR}/keystone.log\n    WSGIProcessGroup"
    )
    machine.write_text("/etc/apache2/sites-enabled/keystone-httpd.conf", site)
    machine.write_text("/etc/keystone/keystone.conf", "[DEFAULT]\nlog_dir = /var/log/keystone\n")
    put(machine, "/var/log/apache2/keystone.log", "/var/log/keystone/main.log")
    assert read(cloud, "keystone", images.KEYSTONE) == (
        "tail --lines=7 -- /var/log/apache2/keystone.log /var/log/keystone/main.log"
    )
