"""A checkout that has given up the script with which production, or production's uWSGI, serves its application."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap import own_server, plan
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.errors import DevswapError
from devswap.service import load_catalogue
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud

PLACE = plan.slot("heat-api-cfn", 1)
CONFIG = ("--config-file", "/etc/heat/heat.conf")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """heat-api-cfn, which its own script serves."""
    machine = SimulatedCloud(tmp_path).machine(images.HEAT_CFN)
    (found,) = units.find([load_catalogue().get("heat-api-cfn")], [machine])
    examined = units.examine(found)
    return replace(examined, command=(examined.command[0], *CONFIG))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    file = tmp_path / "checkout/heat/wsgi/cfn.py"
    file.parent.mkdir(parents=True)
    file.write_text("application = None\n")
    return tmp_path / "checkout"


def test_its_application_is_served_where_productions_server_listened(deployment: Deployment, checkout: Path) -> None:
    where = own_server.address(deployment, ["heat-engine"], checkout)
    assert where == "0.0.0.0:8000"
    argv = plan.command(deployment, PLACE, served_at=where).argv
    program = f"0.0.0.0:8000={PLACE.checkout}/heat/wsgi/cfn.py"
    assert argv == (f"{PLACE.overlay}/bin/python", "-m", "_devswap_serve", program, "--", *CONFIG)


def test_systemd_waits_for_no_word_of_it(deployment: Deployment) -> None:
    """A unit of Type=notify does, and production's script gives it: without one the start would be given up."""
    assert plan.command(deployment, PLACE, served_at="0.0.0.0:8000").simple
    assert not plan.command(deployment, PLACE).simple


def test_under_uwsgi_it_is_as_in_production(tmp_path: Path) -> None:
    deployment = under_uwsgi(tmp_path, f"wsgi-file = {images.VENV}/bin/heat-wsgi-api")
    assert not plan.command(deployment, plan.slot("heat-api", 1), served_at="172.29.236.130:8004").simple


def test_the_configured_address_and_port_are_its(deployment: Deployment, checkout: Path) -> None:
    machine = deployment.machine
    text = f"{machine.read_text('/etc/heat/heat.conf')}[heat_api_cfn]\nbind_host = fd00::1\nbind_port = 8001\n"
    machine.write_text("/etc/heat/heat.conf", text)
    assert own_server.address(deployment, [], checkout) == "[fd00::1]:8001"


def test_a_script_that_is_there_is_what_runs(deployment: Deployment, checkout: Path) -> None:
    assert own_server.address(deployment, ["heat-api-cfn"], checkout) == ""


def test_without_the_module_nothing_is_served(deployment: Deployment, tmp_path: Path) -> None:
    assert own_server.address(deployment, [], tmp_path) == ""


def test_tls_is_refused_with_what_to_do(deployment: Deployment, checkout: Path) -> None:
    encrypted = replace(deployment, addresses=("https://127.0.0.1:8000",))
    with pytest.raises(DevswapError, match="knows no TLS"):
        own_server.address(encrypted, [], checkout)


@pytest.mark.parametrize("name", ["aodh-api", "barbican-api", "placement-api", "keystone"])
def test_nothing_is_served_where_it_is_not_known_where(deployment: Deployment, tmp_path: Path, name: str) -> None:
    one = replace(deployment, service=load_catalogue().get(name))
    file = tmp_path / "c" / plan.module_file(one.service)
    file.parent.mkdir(parents=True)
    file.write_text("application = None\n")
    assert own_server.address(one, [], tmp_path / "c") == ""


def under_uwsgi(tmp_path: Path, said: str) -> Deployment:
    """heat-api, of which uWSGI's own file says `said`."""
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    path = "/etc/uwsgi/heat-api.ini"
    machine.write_text(path, (machine.read_text(path) or "").replace("wsgi = heat.wsgi.api:application", said))
    (found,) = units.find([load_catalogue().get("heat-api")], [machine])
    return units.examine(found)


def test_uwsgi_loads_the_module_of_a_checkout_without_the_script_that_it_loads(tmp_path: Path) -> None:
    deployment = under_uwsgi(tmp_path / "cloud", f"wsgi-file = {images.VENV}/bin/heat-wsgi-api")
    checkout, place = tmp_path / "checkout", plan.slot("heat-api", 1)
    assert own_server.address(deployment, [], checkout) == ""
    (checkout / "heat/wsgi").mkdir(parents=True)
    (checkout / "heat/wsgi/api.py").write_text("application = None\n")
    assert own_server.address(deployment, ["heat-wsgi-api"], checkout) == ""
    where = own_server.address(deployment, [], checkout)
    assert where == "172.29.236.130:8004"
    argv = plan.command(deployment, place, served_at=where).argv
    assert argv[0] == images.UWSGI
    assert argv[argv.index("--wsgi-file") + 1] == f"{place.checkout}/heat/wsgi/api.py"
    assert "heat.wsgi.api is loaded in its place" in own_server.told(deployment, where)


def test_uwsgi_that_loads_a_module_loads_it_still(tmp_path: Path) -> None:
    deployment = under_uwsgi(tmp_path / "cloud", "module = heat.wsgi.api")
    (tmp_path / "heat/wsgi").mkdir(parents=True)
    (tmp_path / "heat/wsgi/api.py").write_text("application = None\n")
    assert own_server.address(deployment, [], tmp_path) == ""
