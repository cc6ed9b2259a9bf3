"""Apache's sites are read and written without touching what nobody asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devswap import apache, plan, swap
from devswap.configuration import Configuration
from devswap.discovery import sites, units
from devswap.errors import DevswapError
from devswap.service import load_catalogue
from devswap.slot import Slot
from devswap.steps.apache import LetGo, PointSite, reload
from devswap.steps.unit import HoldUnit, OwnUnit, RunDevelopment
from devswap.wish import Wish
from tests.simulated import images, web
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine

PLACE = Slot(checkout="/run/devswap/keystone/1/checkout", overlay="/run/devswap/keystone/1/overlay")
TWO = """# Ansible managed
Listen 10.0.0.1:5000
Listen 80

<VirtualHost 10.0.0.1:5000>
    # it's keystone
    WSGIDaemonProcess keystone user=keystone group=ops \\
        threads=2 python-path=/openstack/venvs/keystone/lib/python3.11/site-packages
    WSGIProcessGroup keystone
    WSGIScriptAlias / /openstack/venvs/keystone/bin/keystone-wsgi-public
</VirtualHost>

<VirtualHost *:80>
    WSGIScriptAlias / /srv/horizon/wsgi.py
</VirtualHost>
"""


@pytest.fixture
def machine(tmp_path: Path) -> SimulatedMachine:
    cloud = SimulatedCloud(tmp_path)
    cloud.with_keystone()
    return cloud.machine(images.KEYSTONE)


def found(machine: SimulatedMachine) -> units.Found:
    (place,) = units.find([load_catalogue().get("keystone")], [machine])
    return place


def test_the_host_that_runs_an_application_is_known_by_its_file() -> None:
    site = apache.read(TWO)
    (host,) = site.running("keystone")
    assert host.urls == ("http://10.0.0.1:5000",)
    assert site.process(host)["group"] == "ops"
    assert [each.urls for each in site.running("horizon")] == [("http://127.0.0.1:80",)]


def two_apis(cfn: str, api: str) -> str:
    hosts = (("8000", cfn), ("8004", api))
    return "".join(
        f"<VirtualHost *:{port}>\n    WSGIScriptAlias / {script}\n</VirtualHost>\n" for port, script in hosts
    )


@pytest.mark.parametrize(
    "text",
    [
        two_apis("/usr/bin/heat-wsgi-api-cfn", "/usr/bin/heat-wsgi-api"),
        two_apis("/var/www/cgi-bin/heat/heat_api_cfn", "/var/www/cgi-bin/heat/heat_api"),
    ],
)
def test_of_the_apis_of_a_project_that_one_is_meant_which_the_file_names(text: str) -> None:
    site = apache.read(text)
    assert [host.addresses for host in site.running("heat", "heat-api")] == [("*:8004",)]
    assert [host.addresses for host in site.running("heat", "heat-api-cfn")] == [("*:8000",)]


def test_a_file_that_is_not_called_as_an_api_is_anybodys_of_its_project() -> None:
    assert len(apache.read(TWO.replace("keystone-wsgi-public", "keystone-api.py")).running("keystone", "keystone")) == 1
    assert len(apache.read(two_apis("/srv/heat/cfn.wsgi", "/srv/heat/app.wsgi")).running("heat", "heat-api")) == 2


def test_an_api_that_apache_does_not_run_is_not_taken_for_another_of_its_project(machine: SimulatedMachine) -> None:
    site = two_apis("/usr/bin/heat-wsgi-api-cfn", "/usr/bin/nothing")
    machine.write_text(f"{web.SITES}/heat.conf", site)
    places = [each for each in units.find(load_catalogue(), [machine]) if each.service.project == "heat"]
    assert [(each.service.name, each.site) for each in places] == [("heat-api-cfn", f"{web.SITES}/heat.conf")]


def test_without_a_host_the_others_and_their_ports_stay_word_for_word() -> None:
    site = apache.read(TWO)
    text = apache.without(site, site.running("keystone"))
    left = [line for line in text.splitlines(keepends=True) if not line.startswith("#devswap: ")]
    kept = [line for line in TWO.splitlines(keepends=True) if "80" in line or "horizon" in line]
    assert set(kept) <= set(left)
    assert not any("5000" in line or "keystone" in line for line in left)
    assert apache.read(text).running("keystone") == apache.read(TWO).running("keystone")


def test_a_pointed_site_runs_the_overlay_with_productions_own_options() -> None:
    site = apache.read(TWO)
    script = "/openstack/venvs/keystone/bin/keystone-wsgi-public"
    text = apache.pointed(site, site.running("keystone"), "/o", {script: "/o/bin/keystone-wsgi-public"})
    (host,) = apache.read(text).running("keystone")
    assert apache.read(text).process(host) == {
        "user": "keystone",
        "group": "ops",
        "threads": "2",
        "python-home": "/o",
    }
    assert host.script == "/o/bin/keystone-wsgi-public"
    assert '<Directory "/o/bin">' in text
    assert text.count("horizon") == TWO.count("horizon")


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("ProxyPass / uwsgi://127.0.0.1:35358/", "uwsgi://127.0.0.1:35358"),
        ("ProxyPass / http://127.0.0.1:8004/ retry=0", "http://127.0.0.1:8004"),
        ('ProxyPass "/identity" "unix:/run/k.socket|uwsgi://uwsgi-k/"', "uwsgi:///run/k.socket"),
        ("SetHandler proxy:unix:/run/k.socket|uwsgi://localhost/", "uwsgi:///run/k.socket"),
    ],
)
def test_who_stands_before_an_application_is_seen(line: str, address: str) -> None:
    site = apache.read(f"<VirtualHost *:5000>\n    {line}\n</VirtualHost>\n")
    assert len(site.in_front_of([address])) == 1
    assert site.in_front_of(["http://127.0.0.1:1"]) == ()


def test_a_service_in_apache_is_found_and_examined(machine: SimulatedMachine) -> None:
    place = found(machine)
    assert (place.unit, place.active) == (web.UNIT, True)
    assert units.version(place) == "27.1.0"
    deployment = units.examine(place)
    assert (deployment.user, deployment.group) == ("keystone", "keystone")
    assert deployment.interpreter.virtualenv == images.KEYSTONE_VENV
    assert deployment.addresses == ("http://10.0.0.1:5000", "http://10.0.0.1:35357")
    assert deployment.config_files == ("/etc/keystone/keystone.conf",)
    assert units.from_json(place, units.as_json(deployment)) == deployment


def test_a_folder_in_the_place_of_an_application_keeps_no_other_service_from_being_shown(
    machine: SimulatedMachine,
) -> None:
    """mod_wsgi looks for a file in it by the address that is asked for."""
    site = re.sub(f" \\\\\n *python-home={images.KEYSTONE_VENV}", "", images.keystone_site())
    images.put(machine.files, f"{web.SITES}/keystone-httpd.conf", site.replace("/main", "/"))
    images.put(machine.files, "/var/www/cgi-bin/keystone/main", "")
    assert units.version(found(machine)) is None


def test_a_folder_among_the_sites_is_no_site(machine: SimulatedMachine) -> None:
    before = units.examine(found(machine))
    images.put(machine.files, f"{web.SITES}/backup/old.conf", images.keystone_site())
    images.put(machine.files, f"{web.SITES}/a-folder.conf/old.conf", images.keystone_site())
    assert units.examine(found(machine)) == before


def test_a_site_is_named_by_the_folder_behind_a_link(machine: SimulatedMachine) -> None:
    images.move_behind_link(machine.files, "/etc/apache2", "/srv/apache2")
    hosted = units.examine(found(machine)).hosted
    assert hosted is not None
    assert hosted.path == "/srv/apache2/sites-enabled/keystone-httpd.conf"
    machine.files.link("/etc/apache2", "/srv/other")
    assert machine.read_text(hosted.path) == hosted.text


def test_it_is_found_as_well_while_it_is_put_aside(machine: SimulatedMachine) -> None:
    site = apache.read(images.keystone_site())
    machine.write_text(f"{web.SITES}/keystone-httpd.conf", apache.without(site, site.running("keystone")))
    assert units.examine(found(machine)).addresses == ("http://10.0.0.1:5000", "http://10.0.0.1:35357")


def test_on_a_terminal_a_server_of_its_own_answers_on_the_very_ports(machine: SimulatedMachine) -> None:
    deployment = units.examine(found(machine))
    assert plan.command(deployment, PLACE).argv == (
        f"{PLACE.overlay}/bin/python",
        "-m",
        "_devswap_serve",
        "10.0.0.1:5000=/var/www/cgi-bin/keystone/main",
        "10.0.0.1:35357=/var/www/cgi-bin/keystone/main",
    )
    steps = plan.takeover(deployment, "", PLACE, between=[])
    assert [type(step) for step in steps] == [OwnUnit, HoldUnit, LetGo, RunDevelopment]


def test_on_a_terminal_it_has_no_log_file_whatever_productions_is_called(machine: SimulatedMachine) -> None:
    """Of a name and no folder oslo.log makes a file in /, which a service's account may not."""
    conf, told = "/etc/keystone/keystone.conf", "[DEFAULT]\nlog_file = keystone.log\nlog_dir = /var/log/keystone\n"
    images.put(machine.files, conf, told)
    settings = plan.command(units.examine(found(machine)), PLACE).environment
    options = Configuration.of(machine, [conf], settings)
    assert (options.get("DEFAULT", "log_dir"), options.get("DEFAULT", "log_file")) == ("", "")
    assert Configuration.of(machine, [conf], {}).get("DEFAULT", "log_file") == "keystone.log"


def test_under_apache_no_unit_is_touched(machine: SimulatedMachine) -> None:
    let_go, point = plan.takeover(units.examine(found(machine)), "", PLACE, between=[], in_apache=True)
    assert isinstance(let_go, LetGo)
    assert let_go.ports == ("35357", "5000")
    assert isinstance(point, PointSite)
    assert point.text.count(f"python-home={PLACE.overlay}") == 2
    assert images.KEYSTONE_VENV not in point.text
    assert point.before == let_go.text


def keystone_is(cloud: SimulatedCloud, text: str) -> SimulatedMachine:
    """Apache runs keystone by a site of this text."""
    cloud.with_keystone()
    machine = cloud.machine(images.KEYSTONE)
    images.put(machine.files, f"{web.SITES}/keystone-httpd.conf", text)
    return machine


HOST = f"""Listen 10.0.0.1:5000
<VirtualHost 10.0.0.1:5000>
    WSGIDaemonProcess keystone user=keystone group=keystone python-home={images.KEYSTONE_VENV}
    WSGIProcessGroup keystone
    WSGIScriptAlias / /var/www/cgi-bin/keystone/main
</VirtualHost>
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Define PORT 5000\n" + HOST.replace("5000", "${PORT}"), r"has 10\.0\.0\.1:\${PORT}, which only Apache"),
        (HOST.replace(":5000>", ">"), r"has 10\.0\.0\.1, which only Apache"),
        (f"<Macro Keystone $port>\n{HOST.replace('5000', '$port')}</Macro>\nUse Keystone 5000\n", r"has .*:\$port, wh"),
        (HOST.replace("/var/www/", "${ROOT}/"), r"has \${ROOT}/cgi-bin/keystone/main, which only Apache"),
        (HOST.replace("/main", "/"), r"has /var/www/cgi-bin/keystone/, which only Apache"),
        (HOST.replace("WSGIDaemonProcess", "#"), r"its WSGIDaemonProcess keystone is not in /etc/apache2"),
    ],
)
def test_a_site_that_only_apache_can_read_is_refused_before_anything_is_touched(
    cloud: SimulatedCloud, text: str, told: str
) -> None:
    keystone_is(cloud, text)
    before = cloud.take()
    for in_apache in (False, True):
        wish = Wish("keystone", "plain", None, None, detach=True, apache=in_apache)
        with pytest.raises(DevswapError, match=told):
            swap.checkout(cloud.host(), wish, cloud.makers)
        assert differences(cloud, before) == []


def test_the_processes_of_an_application_are_found_however_they_are_named() -> None:
    alias, group = "WSGIScriptAlias / /var/www/cgi-bin/keystone/main", "    WSGIProcessGroup keystone\n"
    ungrouped = HOST.replace(group, "")
    for text in (
        HOST,
        ungrouped.replace(alias, f"{alias} process-group=keystone application-group=%{{GLOBAL}}"),
        f"WSGIProcessGroup keystone\n{ungrouped}",
    ):
        site = apache.read(text)
        (host,) = site.running("keystone")
        assert site.process(host)["python-home"] == images.KEYSTONE_VENV
        assert "python-home=/o" in apache.pointed(site, [host], "/o", {})
    for text in (ungrouped, HOST.replace("WSGIProcessGroup keystone", "WSGIProcessGroup %{GLOBAL}")):
        site = apache.read(text)
        assert site.process(site.hosts[0]) == {}


ANOTHER = "<VirtualHost *:80>\n    WSGIProcessGroup keystone\n    WSGIScriptAlias / /srv/x.py\n</VirtualHost>\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HOST.replace("Group keystone", "Group %{GLOBAL}"), "Apache's own processes run it"),
        (HOST + ANOTHER, "/srv/x.py runs in the same processes"),
    ],
)
def test_what_has_no_processes_of_its_own_keeps_its_python(cloud: SimulatedCloud, text: str, told: str) -> None:
    """Under Apache production's code would run on, or the other one's with it."""
    machine = keystone_is(cloud, text)
    accounts = machine.read_text("/etc/passwd") or ""
    images.put(machine.files, "/etc/passwd", f"{accounts}www-data:x:33:33::/var/www:/bin/false\n")
    images.put(machine.files, "/usr/bin/python3", "\x7fELF")
    before = cloud.take()
    with pytest.raises(DevswapError, match=f"under its web server with another Python: {told}"):
        swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True, apache=True), cloud.makers)
    assert differences(cloud, before) == []


def test_a_host_of_all_addresses_is_answered_at_all_of_them(cloud: SimulatedCloud) -> None:
    machine = keystone_is(cloud, HOST.replace("10.0.0.1:5000>", "_default_:5000>"))
    argv = plan.command(units.examine(found(machine)), PLACE).argv
    assert argv[-1] == "*:5000=/var/www/cgi-bin/keystone/main"


def test_the_virtualenv_that_an_application_enters_by_itself_is_productions(machine: SimulatedMachine) -> None:
    site = re.sub(f" \\\\\\n *python-home={images.KEYSTONE_VENV}", "", images.keystone_site())
    assert "python-home" not in site
    images.put(machine.files, f"{web.SITES}/keystone-httpd.conf", site)
    script = """import os
activate_this = os.path.expanduser("/openstack/venvs/keystone/bin/activate_this.py")
exec(open(activate_this).read(), dict(__file__=activate_this))
from keystone.server import wsgi as wsgi_server
"""
    images.put(machine.files, "/var/www/cgi-bin/keystone/main", script)
    machine.files.link("/openstack/venvs/keystone", images.KEYSTONE_VENV.rpartition("/")[2])
    assert units.version(found(machine)) == "27.1.0"
    deployment = units.examine(found(machine))
    assert deployment.interpreter.virtualenv == images.KEYSTONE_VENV
    _, point = plan.takeover(deployment, "", PLACE, between=[], in_apache=True)
    assert isinstance(point, PointSite)
    assert point.text.count(f"python-home={PLACE.overlay}") == 2


def test_an_application_among_productions_packages_is_refused(cloud: SimulatedCloud) -> None:
    """As horizon's django.wsgi of 2015, which puts the folder that it is in before all others."""
    cloud.with_keystone()
    machine = cloud.machine(images.KEYSTONE)
    script = f"{images.KEYSTONE_VENV}/lib/python3.11/site-packages/keystone/wsgi/django.wsgi"
    site = (machine.read_text(f"{web.SITES}/keystone-httpd.conf") or "").replace(
        "/var/www/cgi-bin/keystone/main", script
    )
    images.put(machine.files, f"{web.SITES}/keystone-httpd.conf", site)
    before = cloud.take()
    with pytest.raises(DevswapError, match="among production's own packages"):
        swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True, apache=True), cloud.makers)
    assert differences(cloud, before) == []


def test_the_web_server_before_a_unit_is_found(machine: SimulatedMachine) -> None:
    text = "<VirtualHost 10.0.0.1:80>\nProxyPass / http://127.0.0.1:8004/\n</VirtualHost>\n"
    machine.write_text(f"{web.SITES}/front.conf", text)
    unit, hosts = sites.in_front_of(machine, sites.units_of(machine), ["http://127.0.0.1:8004"])
    assert (unit, [host.urls for host in hosts]) == (web.UNIT, [("http://10.0.0.1:80",)])


def test_a_web_server_that_does_not_run_is_said_with_what_starts_it(machine: SimulatedMachine) -> None:
    machine.init.unit(web.UNIT).active = "inactive"
    with pytest.raises(DevswapError, match=r"cannot reload apache2\.service") as refused:
        reload(machine, web.UNIT)
    assert f"lxc-attach -n {machine.name} -- systemctl start apache2.service" in (refused.value.hint or "")
