"""What the simulated containers hold: heat as OpenStack-Ansible lays it out, and its database."""

from __future__ import annotations

import re

from tests.simulated.files import Files, Folder
from tests.simulated.mariadb import Schema, Server, Table

HEAT = "aio1-heat-container"
HEAT_CFN = "aio1-heat-cfn-container"
HEAT_PEER = "aio1-heat-peer-container"
API_PEER = "aio1-heat-api-peer-container"
GALERA = "aio1-galera-container"
HAPROXY = "aio1-haproxy-container"
PEER = "172.29.236.132"
"""Where a second heat-api serves; only in some tests is that a machine of this host."""
ADDRESSES = {
    HEAT: "172.29.236.130",
    HEAT_CFN: "172.29.236.131",
    API_PEER: PEER,
    GALERA: "172.29.236.110",
    HAPROXY: "172.29.236.101",
}
BACKEND = "heat_api-back"
OURS, THEIRS = f"{BACKEND}/{HEAT}", f"{BACKEND}/aio1-heat-peer"
VENV = "/openstack/venvs/heat-33.0.1"
DATABASE_HOST = "172.29.236.101"
PASSWORD = "s@cr%t"
ACCOUNT = (DATABASE_HOST, "heat", PASSWORD, "heat")
REVISIONS = ("a1",)
CHANGES = {
    "a1": [],
    "b2": [
        "CREATE TABLE `stack_note` (`id` int, `text` text) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        "ALTER TABLE `stack` ADD COLUMN `note_id` int",
        "INSERT INTO `stack_note` VALUES (1,'first')",
        "UPDATE alembic_version SET version_num='b2'",
    ],
    "c3": ["ALTER TABLE `stack` ADD COLUMN `owner` int", "UPDATE alembic_version SET version_num='c3'"],
}

HEAT_CONF = """[DEFAULT]
transport_url = rabbit://heat:broker@172.29.236.111:5671//heat?ssl=1
[database]
connection = mysql+pymysql://heat:s%40cr%25t@172.29.236.101/heat?charset=utf8
"""
UNIT = """# Ansible managed
[Unit]
Description={name} service
[Service]
Type=simple
User=heat
Group=heat
ExecStart={venv}/bin/{name}
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
OVERRIDE = f"""[Service]
Environment = "PATH={VENV}/bin:/usr/bin:/bin"
"""
_GLOBAL = """# Ansible managed
global
    stats socket /var/run/haproxy.stat level {level} mode 600
defaults
    mode http
    timeout server 50s

"""
_HEAT_BACKEND = f"""backend {BACKEND}
    # both of them
    balance leastconn
    server {HEAT}   {ADDRESSES[HEAT]}:8004 check port 8004 inter 12000 rise 3 fall 3
    server aio1-heat-peer {PEER}:8004 check port 8004 inter 12000 rise 3 fall 3   # the other

"""
_OTHER_BACKEND = """backend other-back
    server one 10.9.9.1:80 check
    server two 10.9.9.2:80 check
"""
UWSGI = "/openstack/venvs/uwsgi-33.0.1-python3/bin/uwsgi"
UWSGI_INI = """# Ansible managed
[uwsgi]
uid = heat
gid = heat
virtualenv = {venv}
wsgi = heat.wsgi.{module}:application
http-socket = {address}:{port}
master = true
processes = 4
"""
KEYSTONE = "aio1-keystone-container"
KEYSTONE_VENV = "/openstack/venvs/keystone-12.0.0"
KEYSTONE_PORTS = ("5000", "35357")
PORTS_CONF = "# Ansible managed\n\nListen 5000\nListen 35357\n"
KEYSTONE_CONF = """[database]
connection = mysql+pymysql://keystone:s%40cr%25t@172.29.236.101/keystone?charset=utf8
"""
APACHE_UNIT = """[Service]
Type=forking
ExecStart=/usr/sbin/apachectl start
[Install]
WantedBy=multi-user.target
"""
PASSWD = "root:x:0:0:root:/root:/bin/bash\nheat:x:110:112::/var/lib/heat:/bin/false\n"
GROUP = "root:x:0:\nheat:x:112:\n"


def machines() -> dict[str, Files]:
    return {
        HEAT: _heat("heat-engine", "heat-api"),
        HEAT_CFN: _heat("heat-api-cfn"),
        GALERA: _galera(),
    }


def peer() -> Files:
    """Another heat-engine of the same cloud."""
    return _heat("heat-engine")


def api_peer() -> Files:
    """Another heat-api of the same cloud."""
    files = _heat()
    _service(files, "heat-api")
    _under_uwsgi(files, "heat-api", "api", 8004, ADDRESSES[API_PEER])
    return files


def keystone() -> Files:
    """Apache with keystone in it, on two ports."""
    files = bare()
    put(files, "/etc/passwd", PASSWD + "keystone:x:111:113::/var/lib/keystone:/bin/false\n")
    put(files, "/etc/group", GROUP + "keystone:x:113:\n")
    put(files, f"{KEYSTONE_VENV}/bin/python", "\x7fELF")
    put(files, f"{KEYSTONE_VENV}/lib/python3.11/site-packages/keystone-27.1.0.dist-info/METADATA", "Name: keystone\n")
    put(files, "/etc/keystone/keystone.conf", KEYSTONE_CONF)
    put(files, "/usr/sbin/apachectl", "\x7fELF")
    put(files, "/lib/systemd/system/apache2.service", APACHE_UNIT)
    put(files, "/etc/systemd/system/apache2.service", APACHE_UNIT)
    put(
        files,
        "/etc/apache2/sites-enabled/keystone-httpd.conf",
        keystone_site(),
    )
    put(files, "/etc/apache2/ports.conf", "# The ports are those of the sites\n")
    enable(files, "apache2")
    return files


def keystone_site() -> str:
    return "# Ansible managed\n" + "".join(map(_host, KEYSTONE_PORTS))


def _host(port: str) -> str:
    return f"""
Listen 10.0.0.1:{port}
<VirtualHost 10.0.0.1:{port}>
    WSGIDaemonProcess keystone-{port} user=keystone group=keystone processes=2 \\
        python-home={KEYSTONE_VENV}
    WSGIProcessGroup keystone-{port}
    WSGIScriptAlias / /var/www/cgi-bin/keystone/main
</VirtualHost>
"""


def put_ports_elsewhere(files: Files) -> None:
    """As OpenStack-Ansible had it until Newton: Apache listens by a file of its own, at all addresses."""
    site = re.sub("^Listen .*\n", "", keystone_site(), flags=re.MULTILINE).replace("10.0.0.1:", "*:")
    put(files, "/etc/apache2/sites-enabled/keystone-httpd.conf", site)
    put(files, "/etc/apache2/ports.conf", PORTS_CONF)


def move_behind_link(files: Files, path: str, target: str) -> None:
    """Let the folder `path` be a link to `target`, which has all that was in it."""
    found = files.find(path)
    assert isinstance(found, Folder)
    files.make_folder(target)
    moved = files.find(target)
    assert isinstance(moved, Folder)
    moved.names.update(found.names)
    found.names.clear()
    files.remove(path)
    files.link(path, target)


def put_front(files: Files) -> None:
    """Apache before what listens on port 8000."""
    site = "<VirtualHost 10.0.0.1:80>\n    ProxyPass / http://127.0.0.1:8000/\n</VirtualHost>\n"
    put(files, "/usr/sbin/apachectl", "\x7fELF")
    put(files, "/etc/systemd/system/apache2.service", APACHE_UNIT)
    put(files, "/etc/apache2/sites-enabled/front.conf", site)
    enable(files, "apache2")


def balancer(*, level: str = "admin") -> Files:
    """OpenStack-Ansible's HAProxy: fragments, and the file that is assembled from them."""
    files = bare()
    fragments = {"00-haproxy": _GLOBAL.format(level=level), "heat_api": _HEAT_BACKEND, "other": _OTHER_BACKEND}
    for name, text in fragments.items():
        put(files, f"/etc/haproxy/conf.d/{name}", text)
    put(files, "/etc/haproxy/haproxy.cfg", "".join(fragments.values()))
    put(files, "/usr/sbin/haproxy", "\x7fELF")
    return files


def server() -> Server:
    tables = {
        "alembic_version": Table("`version_num` varchar(32)", ["('a1')"]),
        "stack": Table("`id` int, `name` varchar(255)", ["(1,'web')", "(2,'it''s; a -- name')"]),
        "event": Table("`id` int", ["(1)", "(2)", "(3)"]),
    }
    keystone_tables = {"alembic_version": Table("`version_num` varchar(32)", ["('k1')"])}
    return Server(
        {"heat": PASSWORD, "keystone": PASSWORD}, {"heat": Schema(tables), "keystone": Schema(keystone_tables)}
    )


def put(files: Files, path: str, text: str) -> None:
    files.make_folder(path.rpartition("/")[0])
    files.write(path, text.encode())


def bare() -> Files:
    """A system that has booted."""
    files = Files()
    for folder in ("/run/systemd/system", "/etc/systemd/system", "/usr/bin", "/tmp", "/proc", "/root"):
        files.make_folder(folder)
    put(files, "/etc/passwd", PASSWD)
    put(files, "/etc/group", GROUP)
    return files


def enable(files: Files, name: str) -> None:
    files.make_folder("/etc/systemd/system/multi-user.target.wants")
    files.link(f"/etc/systemd/system/multi-user.target.wants/{name}.service", f"/etc/systemd/system/{name}.service")


def _heat(*services: str) -> Files:
    files = bare()
    put(files, f"{VENV}/etc/heat/heat.conf", HEAT_CONF)
    put(files, f"{VENV}/bin/python", "\x7fELF")
    put(
        files, f"{VENV}/lib/python3.11/site-packages/openstack_heat-33.0.1.dist-info/METADATA", "Name: openstack-heat\n"
    )
    files.link("/etc/heat", f"{VENV}/etc/heat")
    for name in services:
        _service(files, name)
    if "heat-api" in services:
        _under_uwsgi(files, "heat-api", "api", 8004, ADDRESSES[HEAT])
    return files


def _service(files: Files, name: str) -> None:
    put(files, f"{VENV}/bin/{name}", f"#!{VENV}/bin/python\n")
    put(files, f"/etc/systemd/system/{name}.service", UNIT.format(name=name, venv=VENV))
    put(files, f"/etc/systemd/system/{name}.service.d/override.conf", OVERRIDE)
    enable(files, name)


def _under_uwsgi(files: Files, name: str, module: str, port: int, address: str) -> None:
    put(files, UWSGI, "\x7fELF")
    put(files, f"/etc/uwsgi/{name}.ini", UWSGI_INI.format(venv=VENV, module=module, port=port, address=address))
    unit = UNIT.format(name=name, venv=VENV)
    line = f"ExecStart={UWSGI} --autoload --ini /etc/uwsgi/{name}.ini\n"
    put(files, f"/etc/systemd/system/{name}.service", re.sub("ExecStart=.*\n", line, unit))


def _galera() -> Files:
    files = bare()
    for tool in ("mariadb", "mariadb-dump"):
        put(files, f"/usr/bin/{tool}", "\x7fELF")
    return files
