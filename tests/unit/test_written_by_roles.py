"""Files as OpenStack-Ansible's roles write them today: its config_template writes every setting as `name = value`."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import foreseen, log_sources, unit_file
from devswap.discovery import repository, units
from devswap.errors import DevswapError
from devswap.service import load_catalogue
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine

# systemd_service's template behind config_template: lists sorted, comments kept, a space on both sides of each sign
UNIT = """[Unit]
Description = {name} service
After = network-online.target
After = syslog.target

[Service]
Type = simple
User = {user}
Group = {user}
Environment = "PATH=/openstack/venvs/{user}-33.0.1/bin:/usr/bin:/bin"
ExecStart = {command}
ExecReload = /bin/kill -HUP $MAINPID
# Give a reasonable amount of time for the server to start up/shut down
TimeoutSec = 120
Restart = on-failure
RestartSec = 2
Slice = {user}.slice
PrivateTmp = False

[Install]
WantedBy = multi-user.target

"""
# neutron's arguments end in a space: they are folded from lines of YAML, the last of which is empty here
NEUTRON_ARGUMENTS = "--config-file /etc/neutron/neutron.conf --config-file /etc/neutron/plugins/ml2/ml2_conf.ini "
NEUTRON = f'{images.UWSGI} --autoload --ini /etc/uwsgi/neutron-server.ini --pyargv "{NEUTRON_ARGUMENTS}"'
NEUTRON_VENV = "/openstack/venvs/neutron-33.0.1"
UWSGI_INI = """[uwsgi]
uid = {user}
gid = {user}
virtualenv = {venv}
wsgi = {module}:application
{socket}
master = true
enable-threads = true
processes = 1
threads = 1
exit-on-reload = true
die-on-term = true
lazy-apps = true
add-header = Connection: close
buffer-size = 65535
thunder-lock = true
disable-logging = true
http-auto-chunked = true
http-raw-body = true
socket-timeout = 10
need-app = true
env = REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
safe-pidfile = /run/{name}/uwsgi/{name}.pid
log-x-forwarded-for = true
# Avoid filling up the logs with health check requests from haproxy.
route-user-agent = ^osa-haproxy-healthcheck$ donotlog:
ignore-sigpipe = true
ignore-write-errors = true
disable-write-exception = true
{more}

"""


@pytest.fixture
def machine(tmp_path: Path) -> SimulatedMachine:
    return SimulatedCloud(tmp_path).machine(images.HEAT)


def install(machine: SimulatedMachine, name: str, user: str, command: str) -> units.Found:
    machine.write_text(f"/etc/systemd/system/{name}.service", UNIT.format(name=name, user=user, command=command))
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "stop", "--", f"{name}.service"])
    (found,) = units.find([load_catalogue().get(name)], [machine])
    return found


def with_neutron(machine: SimulatedMachine) -> units.Found:
    images.put(machine.files, "/etc/passwd", images.PASSWD + "neutron:x:111:113::/var/lib/neutron:/bin/false\n")
    images.put(machine.files, f"{NEUTRON_VENV}/bin/python", "\x7fELF")
    images.put(machine.files, f"{NEUTRON_VENV}/lib/python3.12/site-packages/neutron-28.0.0.dist-info/METADATA", "")
    for path in ("neutron.conf", "plugins/ml2/ml2_conf.ini"):
        images.put(machine.files, f"/etc/neutron/{path}", "[DEFAULT]\n")
    text = UWSGI_INI.format(
        name="neutron-server",
        user="neutron",
        venv=NEUTRON_VENV,
        module="neutron.wsgi.api",
        socket="http-socket = 172.29.236.130:9696",
        more="start-time = %t",
    )
    images.put(machine.files, "/etc/uwsgi/neutron-server.ini", text)
    return install(machine, "neutron-server", "neutron", NEUTRON)


def test_a_command_with_spaces_around_its_sign_tells_the_version(machine: SimulatedMachine) -> None:
    found = install(machine, "heat-engine", "heat", f"{images.VENV}/bin/heat-engine")
    assert units.started(found) == [f"{images.VENV}/bin/heat-engine"]
    assert units.version(found) == "33.0.1"


def test_arguments_in_quotes_are_one_word_in_a_file_and_of_a_unit_that_does_not_run(machine: SimulatedMachine) -> None:
    found = with_neutron(machine)
    assert units.started(found)[-2:] == ["--pyargv", NEUTRON_ARGUMENTS]
    assert units.version(found) == "28.0.0"
    deployment = units.examine(found)
    assert deployment.config_files == ("/etc/neutron/neutron.conf", "/etc/neutron/plugins/ml2/ml2_conf.ini")
    assert deployment.command == ("neutron.wsgi.api", *NEUTRON_ARGUMENTS.split())
    assert deployment.uwsgi is not None
    assert deployment.uwsgi.argv[-1] == NEUTRON_ARGUMENTS


def test_a_log_beside_the_journal_is_found(machine: SimulatedMachine) -> None:
    images.put(machine.files, "/srv/log/out.log", "")
    command = f"{images.VENV}/bin/heat-engine\nStandardOutput = append:/srv/log/out.log"
    install(machine, "heat-engine", "heat", command)
    sources = log_sources.of_service(machine.cloud.host(), "heat-engine", machine.address)
    assert [source.file for source in sources] == ["/srv/log/out.log"]


def test_a_later_drop_in_that_sets_the_command_is_seen(machine: SimulatedMachine) -> None:
    found = install(machine, "heat-engine", "heat", f"{images.VENV}/bin/heat-engine")
    text = f"[Service]\nExecStart =\nExecStart = {images.VENV}/bin/heat-engine\n"
    images.put(machine.files, "/etc/systemd/system/heat-engine.service.d/zzz.conf", text)
    machine.run(["systemctl", "daemon-reload"])
    with pytest.raises(DevswapError, match=r"zzz\.conf sets ExecStart"):
        foreseen.require_last_word(units.examine(found))


def test_a_command_that_a_file_takes_back_does_not_count() -> None:
    text = "[Service]\n# ExecStart=/no\nExecStart=/one\n  ExecStart = \nExecStart = @/two \\\n name 'a b'\n"
    assert unit_file.values(text, "ExecStart") == ["/one", "", "@/two   name 'a b'"]
    assert unit_file.command("@/two name 'a b'") == ["/two", "a b"]
    assert unit_file.command("-:/one it's") == ["/one", "it's"]


WHEELS = "os-releases/33.0.1/ubuntu-24.04-x86_64/wheels"


def test_wheels_are_asked_for_where_the_repository_container_serves_them(machine: SimulatedMachine) -> None:
    repo = machine.cloud.machine(images.GALERA)
    own, on_bridge = images.ADDRESSES[images.GALERA], "10.255.255.17"
    repo.state.more_addresses = (on_bridge,)
    links = [f"http://{address}:8181/{WHEELS}/" for address in (on_bridge, own)]

    def served() -> list[str]:
        return list(repository.private_links(machine, [machine, repo]))

    assert served() == []
    images.put(repo.files, f"/var/www/repo/{WHEELS}/heat-26.0.0-py3-none-any.whl", "")
    assert served() == links  # nobody listens: that is for whoever asks to say
    images.put(repo.files, "/lib/systemd/system/apache2.service", images.APACHE_UNIT)
    repo.run(["systemctl", "start", "--", "apache2.service"])
    for listening, wanted in ((own, links[1:]), ("0.0.0.0", links), ("127.0.0.1", [])):
        repo.init.unit("apache2.service").ports = [(listening, 8181), (on_bridge, 80)]
        assert served() == wanted


TLS_OF_APACHE = """
Listen 172.29.236.130:8181

<VirtualHost 172.29.236.130:8181>
    ServerName aio1-repo
    DocumentRoot /var/www/repo

    SSLEngine on
    SSLCertificateFile /etc/ssl/certs/httpd_repo.pem
</VirtualHost>
"""
TLS_OF_NGINX = "server {\n    listen 172.29.236.130:8181 ssl;\n    root /var/www/repo;\n}\n"


@pytest.mark.parametrize(
    ("path", "text", "scheme"),
    [
        ("/etc/apache2/sites-enabled/repo.conf", TLS_OF_APACHE, "https"),
        ("/etc/apache2/sites-enabled/repo.conf", TLS_OF_APACHE.replace("SSLEngine on", ""), "http"),
        ("/etc/apache2/sites-enabled/other.conf", TLS_OF_APACHE.replace("8181", "8182"), "http"),
        ("/etc/nginx/sites-enabled/repo.vhost", TLS_OF_NGINX, "https"),
        ("/etc/nginx/sites-enabled/repo.vhost", TLS_OF_NGINX.replace(" ssl", ""), "http"),
        ("/etc/nginx/sites-enabled/repo.vhost", TLS_OF_NGINX.replace("8181", "8182"), "http"),
    ],
)
def test_wheels_behind_tls_are_asked_for_in_tls(machine: SimulatedMachine, path: str, text: str, scheme: str) -> None:
    repo = machine.cloud.machine(images.GALERA)
    images.put(repo.files, f"/var/www/repo/{WHEELS}/heat-26.0.0-py3-none-any.whl", "")
    images.put(repo.files, path, text)
    (link,) = repository.private_links(machine, [machine, repo])
    assert link == f"{scheme}://{images.ADDRESSES[images.GALERA]}:8181/{WHEELS}/"


# The role for Apache writes its sites as they are: an empty header keeps its indentation, and logs go to a program
SITE = """# Ansible managed

Listen 172.29.236.130:{port}

<VirtualHost 172.29.236.130:{port}>

    ServerName aio1-web
    LogLevel info
    ErrorLog  syslog:daemon
    CustomLog "|/usr/bin/env logger -p daemon.info -t apache2:{name}" "%h %l %u \\"%r\\" %>s \\"%{{User-agent}}i\\""

    Header set X-XSS-Protection "1; mode=block"
    Header set Content-Security-Policy "default-src 'self' https: wss:;"
    \n{more}
    <Directory /var/www/{name}>
        <Files wsgi.py >
          Require all granted
        </Files>
    </Directory>

</VirtualHost>
"""


def with_apache(machine: SimulatedMachine, name: str, user: str, site: str) -> None:
    images.put(machine.files, "/etc/passwd", images.PASSWD + f"{user}:x:111:113::/var/lib/{user}:/bin/false\n")
    images.put(machine.files, "/lib/systemd/system/apache2.service", images.APACHE_UNIT)
    images.put(machine.files, f"/etc/apache2/sites-enabled/{name}.conf", site)


@pytest.mark.parametrize(
    ("socket", "addresses"),
    [
        ("", ("uwsgi://127.0.0.1:35358",)),
        ("http-socket = 172.29.236.130:37358", ("http://172.29.236.130:37358", "uwsgi://127.0.0.1:35358")),
    ],
)
def test_apache_before_keystone_is_known_by_the_socket_that_uwsgi_has_for_it(
    machine: SimulatedMachine, socket: str, addresses: tuple[str, ...]
) -> None:
    """Until 2025.1 uWSGI listened for others besides."""
    more = "    Options +FollowSymLinks\n    ProxyPass / uwsgi://127.0.0.1:35358/"
    site = SITE.format(name="openstack_keystone", port=5000, more=more)
    with_apache(machine, "openstack_keystone", "keystone", site)
    venv, name = "/openstack/venvs/keystone-33.0.1", "keystone-wsgi-public"
    images.put(machine.files, f"{venv}/bin/python", "\x7fELF")
    images.put(machine.files, "/etc/keystone/keystone.conf", "[DEFAULT]\n")
    text = UWSGI_INI.format(
        name=name,
        user="keystone",
        venv=venv,
        module="keystone.wsgi.api",
        socket=socket,
        more="socket = 127.0.0.1:35358",
    )
    images.put(machine.files, f"/etc/uwsgi/{name}.ini", text)
    command = f"{images.UWSGI} --autoload --ini /etc/uwsgi/{name}.ini"
    unit = UNIT.format(name=name, user="keystone", command=command)
    machine.write_text(f"/etc/systemd/system/{name}.service", unit)
    (found,) = units.find([load_catalogue().get("keystone")], [machine])
    deployment = units.examine(found)
    assert (deployment.unit, deployment.addresses) == (f"{name}.service", addresses)
    assert deployment.front is not None
    assert (deployment.front.unit, deployment.front.addresses) == ("apache2.service", ("http://172.29.236.130:5000",))


def test_apache_runs_horizon_as_its_site_says(machine: SimulatedMachine) -> None:
    venv = "/openstack/venvs/horizon-33.0.1"
    packages = f"{venv}/lib/python3.12/site-packages"
    more = f"""    WSGIScriptAlias / {packages}/openstack_dashboard/wsgi.py
    WSGIDaemonProcess horizon user=horizon group=horizon processes=1 threads=1 python-path={packages}
    WSGIProcessGroup horizon
    WSGIApplicationGroup %{{GLOBAL}}
    Alias //static {packages}/static/
"""
    with_apache(machine, "openstack_dashboard", "horizon", SITE.format(name="openstack_dashboard", port=80, more=more))
    images.put(machine.files, f"{venv}/bin/python", "\x7fELF")
    images.put(machine.files, f"{packages}/horizon-25.5.0.dist-info/METADATA", "")
    (found,) = units.find([load_catalogue().get("horizon")], [machine])
    assert units.version(found) == "25.5.0"
    deployment = units.examine(found)
    assert (deployment.unit, deployment.user, deployment.group) == ("apache2.service", "horizon", "horizon")
    assert deployment.command == (f"{packages}/openstack_dashboard/wsgi.py",)
    assert deployment.interpreter.virtualenv == venv
    assert deployment.addresses == ("http://172.29.236.130:80",)
