"""Services that answer requests, on a real cloud: what tests of heat-api and keystone share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from devswap.sandbox.changes import Change
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud, certificate, wait_until
from tests.integration.people import Desk
from tests.integration.through_haproxy import FILES, balancer

PROMPT = r"\(Pdb\) "
HEADER = "X-Keystone-Change"
EDITED = "/edited"
# Times of files are part of it: a file that was written and put back is not the file that was there. Keys rotate.
_LOOK = r"""
exec 2>/dev/null
section() { printf '\n== %s\n' "$1"; }
places='/etc/apache2 /etc/uwsgi /etc/heat/ /etc/keystone /var/www /etc/systemd /run/systemd/system /run/devswap'
section files
find $places -type d -not -path '*-keys/*' -printf '%p %U:%G %m\n' | sort
find $places -not -type d -not -path '*-keys/*' -printf '%p %y %l %T@ %U:%G %m\n' | sort
section content
find -L $places -type f -not -path '*-keys/*' -exec sha256sum {} + | sort
section venvs
find /openstack/venvs -printf '%p %y %s %T@ %U:%G %m\n' | sort | sha256sum
section units
for unit in apache2 heat-api heat-api-cfn keystone-wsgi-public; do
    systemctl show $unit -p Id,ActiveState,SubState,UnitFileState,DropInPaths,FragmentPath,User
done
systemctl list-units --all --plain --no-legend 'devswap*'
section mounts
cut -d' ' -f5,6 /proc/1/mountinfo | grep -v ^/run/credentials | sort
grep -l ' /run/devswap' /proc/[0-9]*/mountinfo
section processes
cat /proc/[0-9]*/cmdline | tr '\0' '\n' | grep '[/]run/devswap/'
ss -Hltn | awk '{print $4}' | sort
"""
# By hand, since the client does not show who answered it: the head of the answer that has the token
_TOKEN = """
import json, os, urllib.error, urllib.request
user = {"name": os.environ["OS_USERNAME"], "password": os.environ["OS_PASSWORD"], "domain": {"name": "Default"}}
scope = {"project": {"name": os.environ["OS_PROJECT_NAME"], "domain": {"name": "Default"}}}
auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
url, body = os.environ["OS_AUTH_URL"] + "/auth/tokens", json.dumps({"auth": auth}).encode()
asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(asked, timeout=60) as answer:
        print(answer.status, answer.headers)
except urllib.error.HTTPError as error:
    print(error.code, error.headers)
"""
_ENCRYPT = r"""
set -e
cat >/etc/ssl/keystone.pem
cp -a /etc/apache2/sites-available/keystone-httpd.conf /root/
told='SSLEngine on\n    SSLCertificateFile /etc/ssl/keystone.pem'
sed -i "s|^<VirtualHost .*|&\n    $told|" /etc/apache2/sites-available/keystone-httpd.conf
a2enmod -q ssl
systemctl restart apache2
"""
_DECRYPT = """
cp -a /root/keystone-httpd.conf /etc/apache2/sites-available/ && rm /root/keystone-httpd.conf /etc/ssl/keystone.pem
a2dismod -q ssl socache_shmcb
systemctl restart apache2
"""


@pytest.fixture
def heat(cloud: Cloud, desk: Desk) -> Iterator[str]:
    """heat-api's container, whole afterwards."""
    yield from _whole(cloud, desk, cloud.heat_api)


@pytest.fixture
def keystone(cloud: Cloud, desk: Desk) -> Iterator[str]:
    """One of keystone's two containers; both are whole afterwards."""
    first, second = (name for name in cloud.containers if "-keystone-" in name.replace("_", "-"))
    yield from _whole(cloud, desk, first, second)


@pytest.fixture
def in_tls(cloud: Cloud, tmp_path: Path) -> Iterator[bool]:
    """Whether Apache does TLS for keystone, and HAProxy speaks it with its server: where Apache runs it itself."""
    if cloud.era != "2015":
        yield False
        return
    on, balancer = cloud.container("-keystone-"), cloud.container("-haproxy-")
    cloud.run(["sh", "-c", _ENCRYPT], on=on, text=certificate(tmp_path))
    lines = f"/ {cloud.containers[on]}:\\(5000\\|35357\\) /"
    change = f"cp -a /etc/haproxy/haproxy.cfg /root/ && sed -i '{lines}s/ check / check ssl verify none /' \"$1\""
    cloud.sh(f"{change} && systemctl reload haproxy", "/etc/haproxy/haproxy.cfg", on=balancer)
    yield True
    cloud.sh("mv /root/haproxy.cfg /etc/haproxy/ && systemctl reload haproxy", on=balancer)
    cloud.sh(_DECRYPT, on=on)


def _whole(cloud: Cloud, desk: Desk, container: str, *others: str) -> Iterator[str]:
    before = look(cloud, container, *others)
    yield container
    for swap in clouds.swaps(desk.devswap("status", "--json").stdout):
        if swap["machine"] == f"lxc:{container}":
            desk.devswap("restore", swap["service"], "--machine", container, "--take-over")
    assert clouds.differences(before, look(cloud, container, *others)) == []


def look(cloud: Cloud, *containers: str) -> dict[str, str]:
    """All there is to compare of these containers, and HAProxy's files."""
    found = {"files of HAProxy": cloud.sh(FILES, on=balancer(cloud))}
    for container in containers:
        text = cloud.run(["sh", "-c", _LOOK], on=container, ok=False).stdout
        parts = (part.split("\n", 1) for part in text.split("\n== ")[1:] if "\n" in part)
        found |= {f"{container}: {name}": shown for name, shown in parts}
    return found


def ask(
    cloud: Cloud, container: str, port: int, path: str = "/v3", *, tls: bool = False, address: str | None = None
) -> str:
    """The head of the answer that the machine itself gives, or who else is at `address`."""
    address = address or cloud.containers[container]
    how = "HTTPSConnection" if tls else "HTTPConnection"
    trust = ", context=ssl._create_unverified_context()" if tls else ""
    script = f"""
import http.client, ssl
c = http.client.{how}("{address}", {port}, timeout=120{trust})
c.request("GET", "{path}")
r = c.getresponse()
print(r.status, r.headers)
"""
    return cloud.run(["python3", "-c", script], on=container).stdout


def token(cloud: Cloud) -> str:
    """The head of the answer that brings a token through HAProxy, which writes names of headers small."""
    return cloud.sh('. /root/openrc; exec python3 -c "$1"', _TOKEN, on=cloud.container("-utility-"))


def wait_for_token(cloud: Cloud, value: str) -> None:
    """Until one comes from the keystone that answers with this header, of which HAProxy may still think ill."""
    wait_until(lambda: f"{HEADER.lower()}: {value}" in token(cloud), f"a token of {value}", seconds=120)
    issued = cloud.sh(". /root/openrc; exec openstack token issue -f value -c id", on=cloud.container("-utility-"))
    assert len(issued) > 20


def header(change: Change) -> str:
    return change.patchsets[-1].shows.partition(": ")[2]


def stop(terminal: pexpect.spawn[str]) -> float:
    """Ctrl-C once: a second one would be by force, and the first one has to do. The seconds it took."""
    began = time.monotonic()
    terminal.sendcontrol("c")
    terminal.expect("is stopped, and still swapped", timeout=20)
    seconds = time.monotonic() - began
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert "Ctrl-C again" not in (terminal.before or "")
    assert terminal.exitstatus == 0
    assert seconds < 5, "2 s are promised, of a host that is not busy with other tests"
    return seconds


def at_a_prompt(terminal: pexpect.spawn[str], ask_it: Callable[[], str], *, seconds: float = 0) -> str:
    """A request that stops at a breakpoint, is looked at for `seconds`, and goes on: its answer."""
    heads: list[str] = []
    request = threading.Thread(target=lambda: heads.append(ask_it()))
    request.start()
    terminal.expect(PROMPT)
    terminal.sendline("p 6 * 7, __file__")
    terminal.expect(r"\(42, '/run/devswap/[a-z-]+/\d+/checkout/.*\.py'\)")
    terminal.expect(PROMPT)
    time.sleep(seconds)
    assert heads == []
    terminal.sendline("c")
    request.join()
    return heads[0]


@contextmanager
def edited_paste(cloud: Cloud, desk: Desk, container: str) -> Iterator[None]:
    """heat-api's development alone has a check of its health at another path, too; nothing of it is offered later."""
    usual = "/healthcheck: healthcheck\n"
    text = cloud.sh("cat /etc/heat/api-paste.ini", on=container) + "\n"
    assert usual in text
    line = ("edit", "heat-api", "api-paste.ini", "--machine", container, "--from", "-")
    with desk.start(*line, feed=text.replace(usual, f"{usual}{EDITED}: healthcheck\n", 1)) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    try:
        assert EDITED not in cloud.sh("cat /etc/heat/api-paste.ini", on=container)
        yield
    finally:
        desk.devswap("edit", "heat-api", "--machine", container, "--drop")


def stopping_tree(desk: Desk) -> Path:
    """Of heat, with a breakpoint that is met in a request for /?stop."""
    tree = desk.own_tree("stops")
    stops = "        if 'stop' in req.query_string: breakpoint()\n"
    desk.edit(tree / "heat/api/versions.py", "        version_objs = [\n", f"{stops}        version_objs = [\n")
    return tree


def assert_patient(before: str, after: str) -> None:
    """HAProxy waits an hour for the one backend, and nothing else is changed in its file."""
    (others, was), (others_now, is_now) = map(_backend, (before, after))
    assert others_now == others
    assert ("timeout server 1h" in was, "timeout server 1h" in is_now) == (False, True)
    assert (" fall 3" in was, " fall 3 " in is_now, "on-error mark-down" in is_now) == (True, False, True)


def _backend(text: str) -> tuple[str, str]:
    """(the rest of the file, what is said of heat-api's servers)."""
    head, title, rest = text.partition("backend heat_api-back\n")
    section, end, tail = rest.partition("\n\n")
    return head + title + end + tail, section


def application(desk: Desk, change: Change) -> Path:
    checkouts = desk.person.home / ".local/share/devswap/checkouts/keystone"
    return checkouts / f"review~{change.number}/keystone/server/flask/application.py"
